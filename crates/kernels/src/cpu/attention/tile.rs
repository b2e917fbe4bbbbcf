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

/// How elements are stored.
///
/// # Safety
/// As [`Isa`]; positions and elements are inside the tile, and so are the fifteen after those of a vector.
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

    /// # Safety
    /// As for [`TileFormat`].
    unsafe fn key_scale(keys: Keys, element: usize, position: usize) -> Self::Scale;
    /// One element of the keys at sixteen positions.
    ///
    /// # Safety
    /// As for [`TileFormat`].
    unsafe fn key(keys: Keys, element: usize, position: usize, scale: Self::Scale) -> I::V;
    /// Sixteen elements of the value at a position.
    ///
    /// # Safety
    /// As for [`TileFormat`].
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
        // SAFETY: the contract of `TileFormat::key_scale`: the scales follow the elements.
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
        // SAFETY: the contract of `TileFormat::value`: the scales follow the elements.
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
