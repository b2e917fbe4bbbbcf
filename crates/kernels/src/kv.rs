//! The paged key/value cache of one layer, and what attention is asked over it.

use std::ops::Range;

use memmap2::MmapMut;

use crate::{KernelError, Kernels, Vector};

/// The size of one layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Physical blocks.
    pub blocks: usize,
    /// Positions per block.
    pub block_size: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements of a key head.
    pub key_dim: usize,
    /// Elements of a value head.
    pub value_dim: usize,
}

/// Positions are stored in runs of this many, so that one vector holds the same element of that many keys.
const LANES: usize = 16;

/// One layer's paged keys and values, f32.
///
/// Memory is reserved, not touched: a block costs nothing until something is written to it.
///
/// Keys are laid out `[block, head, element, position]` and values `[block, head, position, element]`: scores of
/// consecutive positions and the weighted sum of values both run over contiguous memory. The positions of a block
/// and the elements of a value are padded to a multiple of 16, so both are best multiples of 16.
#[derive(Debug)]
pub struct KvCache {
    shape: KvShape,
    keys: MmapMut,
    values: MmapMut,
}

impl KvCache {
    /// Reserves a zeroed cache.
    pub fn new(_kernels: &Kernels, shape: KvShape) -> Result<Self, KernelError> {
        Ok(Self {
            shape,
            keys: reserve(shape, shape.key_dim)?,
            values: reserve(shape, shape.value_dim.next_multiple_of(LANES))?,
        })
    }

    /// The shape it was made with.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// Bytes reserved for keys and values.
    pub fn size_bytes(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// Positions a block is stored with.
    pub(crate) fn stride(&self) -> usize {
        self.shape.block_size.next_multiple_of(LANES)
    }

    /// Keys of one head of a block: `[key_dim, stride]`.
    pub(crate) fn keys(&self, block: usize, head: usize) -> &[f32] {
        let size = self.shape.key_dim * self.stride();
        &as_floats(&self.keys)[(block * self.shape.kv_heads + head) * size..][..size]
    }

    /// Elements a value is stored with.
    pub(crate) fn value_stride(&self) -> usize {
        self.shape.value_dim.next_multiple_of(LANES)
    }

    /// Values of one head of a block: `[stride, value_stride]`.
    pub(crate) fn values(&self, block: usize, head: usize) -> &[f32] {
        let size = self.value_stride() * self.stride();
        &as_floats(&self.values)[(block * self.shape.kv_heads + head) * size..][..size]
    }

    /// Stores the keys and values `[kv_heads * dim]` of one position at `slot` = block · block_size + offset.
    pub(crate) fn write(&mut self, slot: usize, key: &[f32], value: &[f32]) {
        let KvShape {
            block_size,
            kv_heads,
            key_dim,
            value_dim,
            ..
        } = self.shape;
        let (stride, value_stride) = (self.stride(), self.value_stride());
        let (block, offset) = (slot / block_size, slot % block_size);
        let keys = &mut as_floats_mut(&mut self.keys)[block * kv_heads * key_dim * stride..];
        for (place, element) in keys.iter_mut().skip(offset).step_by(stride).zip(key) {
            *place = *element;
        }
        let values = as_floats_mut(&mut self.values);
        for (head, value) in value.chunks_exact(value_dim).enumerate() {
            let start = ((block * kv_heads + head) * stride + offset) * value_stride;
            values[start..start + value_dim].copy_from_slice(value);
        }
    }
}

fn reserve(shape: KvShape, elements: usize) -> Result<MmapMut, KernelError> {
    let stride = shape.block_size.next_multiple_of(LANES);
    let size_bytes = [shape.kv_heads, stride, elements, size_of::<f32>()]
        .into_iter()
        .fold(shape.blocks as u128, |size, factor| {
            size.saturating_mul(factor as u128)
        });
    let error = |reason: String| KernelError::CacheMemory { size_bytes, reason };
    // The padding hides an empty side of the values.
    if size_bytes == 0 || shape.value_dim == 0 || shape.block_size == 0 {
        return Err(error(format!("{shape:?} has an empty side")));
    }
    let size = usize::try_from(size_bytes).map_err(|reason| error(reason.to_string()))?;
    MmapMut::map_anon(size).map_err(|reason| error(reason.to_string()))
}

fn as_floats(map: &MmapMut) -> &[f32] {
    // SAFETY: maps are page-aligned, initialized (zeroed by the operating system), a multiple of four bytes long by
    // `reserve`, and every bit pattern is an f32.
    unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), map.len() / size_of::<f32>()) }
}

fn as_floats_mut(map: &mut MmapMut) -> &mut [f32] {
    let len = map.len() / size_of::<f32>();
    // SAFETY: as in `as_floats`, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), len) }
}

/// The rows of one sequence in a ragged batch, and where its keys and values are.
///
/// The keys and values of the rows themselves have been written before attention is asked.
#[derive(Clone, Debug)]
pub struct KvSpan<'a> {
    /// Rows of the batch that belong to the sequence.
    pub rows: Range<usize>,
    /// Position of the first of these rows; the others follow it.
    pub first_position: usize,
    /// Physical block of each run of `block_size` positions. [`u32::MAX`] marks a block freed behind the window.
    pub blocks: &'a [u32],
    /// Which positions a row sees.
    pub mask: Mask,
}

/// Which positions a row of a span sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Everything up to its own position.
    Causal,
    /// Everything up to the last position of the span.
    Bidirectional,
}

/// What attention computes: `softmax(softcap(scale · q·k)) · v` over the visible positions.
#[derive(Clone, Debug)]
pub struct AttentionSpec {
    /// Query heads; consecutive runs of `heads / kv_heads` share a key/value head.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements of a query and key head.
    pub head_dim: usize,
    /// Elements of a value head.
    pub value_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// A row at position `p` sees nothing before `p + 1 - window`.
    pub window: Option<usize>,
    /// One logit per head that takes part in the softmax and has no value.
    pub sinks: Option<Vector>,
}

impl AttentionSpec {
    /// The positions seen by the row at `position` of a span that ends before `end`.
    pub(crate) fn visible(&self, mask: Mask, position: usize, end: usize) -> Range<usize> {
        let first = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        match mask {
            Mask::Causal => first..position + 1,
            Mask::Bidirectional => first..end,
        }
    }
}
