//! Tiles of the cache: keys or values of one head of a block, converted to f32 when loaded.

use super::super::{
    prefetch,
    simd::{Isa, widen_bf16},
};
use crate::kv::GROUP;

/// `[elements, stride]`, followed by the scales if the type has any.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub start: *const u8,
    /// Keys to prefetch while these are used.
    pub next: *const u8,
    pub dim: usize,
    pub stride: usize,
}

/// `[stride, padded]`, followed by the scales if the type has any.
#[derive(Clone, Copy)]
pub(super) struct Values {
    pub start: *const u8,
    /// Values to prefetch while these are used.
    pub next: *const u8,
    pub stride: usize,
    pub padded: usize,
    /// Scales of a position.
    pub scales: usize,
}

/// The storage format of a tile.
pub(super) trait TileFormat<I: Isa> {
    /// The scale of a run of keys at sixteen positions.
    type Scale: Copy;
    /// Bytes of an element.
    const BYTES: usize;

    /// Prefetches `count` elements of another tile from element `index`.
    #[inline(always)]
    fn prefetch(next: *const u8, index: usize, count: usize) {
        let first = index * Self::BYTES;
        prefetch::prefetch(next, first..first + count * Self::BYTES);
    }

    /// The scales of sixteen keys from `position` on, for the elements that share a scale with `element`.
    ///
    /// # Safety
    /// As for [`TileFormat::key`].
    unsafe fn key_scale(keys: Keys, element: usize, position: usize) -> Self::Scale;
    /// One element of sixteen keys from `position` on.
    ///
    /// # Safety
    /// The CPU supports `I`. `keys.start` is a tile of keys in this format, `element` is below `keys.dim`, and
    /// `position + 16` is at most `keys.stride`. No thread writes the tile.
    unsafe fn key(keys: Keys, element: usize, position: usize, scale: Self::Scale) -> I::V;
    /// Sixteen elements, from `element` on, of the value at `position`.
    ///
    /// # Safety
    /// The CPU supports `I`. `values.start` is a tile of values in this format, `position` is below `values.stride`,
    /// and `element`, a multiple of 16, is below `values.padded`. No thread writes the tile.
    unsafe fn value(values: Values, position: usize, element: usize) -> I::V;
}

pub(super) struct F32Tile;

impl<I: Isa> TileFormat<I> for F32Tile {
    type Scale = ();
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn key_scale(_: Keys, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn key(keys: Keys, element: usize, position: usize, (): ()) -> I::V {
        // SAFETY: the contract of `TileFormat::key`.
        unsafe {
            I::load(
                keys.start
                    .cast::<f32>()
                    .add(element * keys.stride + position),
            )
        }
    }

    #[inline(always)]
    unsafe fn value(values: Values, position: usize, element: usize) -> I::V {
        let start = values.start.cast::<f32>();
        // SAFETY: the contract of `TileFormat::value`.
        unsafe { I::load(start.add(position * values.padded + element)) }
    }
}

pub(super) struct F16Tile;

impl<I: Isa> TileFormat<I> for F16Tile {
    type Scale = ();
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn key_scale(_: Keys, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn key(keys: Keys, element: usize, position: usize, (): ()) -> I::V {
        // SAFETY: the contract of `TileFormat::key`.
        unsafe {
            I::load_f16(
                keys.start
                    .cast::<u16>()
                    .add(element * keys.stride + position),
            )
        }
    }

    #[inline(always)]
    unsafe fn value(values: Values, position: usize, element: usize) -> I::V {
        let start = values.start.cast::<u16>();
        // SAFETY: the contract of `TileFormat::value`.
        unsafe { I::load_f16(start.add(position * values.padded + element)) }
    }
}

/// Bytes with a scale for each run of [`GROUP`] elements of a position.
pub(super) struct Int8Tile;

impl<I: Isa> TileFormat<I> for Int8Tile {
    type Scale = I::V;
    const BYTES: usize = 1;

    #[inline(always)]
    unsafe fn key_scale(keys: Keys, element: usize, position: usize) -> I::V {
        // SAFETY: the contract of `TileFormat::key_scale`: the scales, `[runs, stride]`, follow the elements.
        unsafe {
            let scales = keys.start.add(keys.dim * keys.stride).cast::<u16>();
            I::load_bf16(scales.add(element / GROUP * keys.stride + position))
        }
    }

    #[inline(always)]
    unsafe fn key(keys: Keys, element: usize, position: usize, scale: I::V) -> I::V {
        let start = keys.start.cast::<i8>();
        // SAFETY: the contract of `TileFormat::key`.
        unsafe {
            I::mul(
                I::load_i8(start.add(element * keys.stride + position)),
                scale,
            )
        }
    }

    #[inline(always)]
    unsafe fn value(values: Values, position: usize, element: usize) -> I::V {
        let start = values.start.cast::<i8>();
        // SAFETY: the contract of `TileFormat::value`: the scales, `[stride, scales]`, follow the elements.
        unsafe {
            let scales = values
                .start
                .add(values.stride * values.padded)
                .cast::<u16>();
            let scale = scales.add(position * values.scales + element / GROUP);
            let scale = I::splat(widen_bf16(scale.read_unaligned()));
            I::mul(
                I::load_i8(start.add(position * values.padded + element)),
                scale,
            )
        }
    }
}
