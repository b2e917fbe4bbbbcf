//! Query-key dot products of a block, and weighted sums of its values.

use std::ops::Range;

use super::{
    super::simd::{Isa, LANES},
    Query, clip,
    tile::{Keys, TileFormat, Values},
};
use crate::kv::GROUP;

/// Query vectors of a small pass.
pub(super) const FEW: usize = 4;

/// Query vectors whose sums fit into registers.
pub(super) const fn max_vectors<I: Isa>() -> usize {
    if I::WIDE { 8 } else { FEW }
}

/// Rows of floats, one per query vector.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub start: *mut f32,
    pub width: usize,
}

impl Rows {
    #[inline(always)]
    fn row(self, index: usize) -> *mut f32 {
        self.start.wrapping_add(index * self.width)
    }

    /// The rows from `index`.
    #[inline(always)]
    pub fn from(self, index: usize) -> Self {
        Self {
            start: self.row(index),
            ..self
        }
    }

    /// The same rows without their first `columns` elements.
    #[inline(always)]
    pub fn skip(self, columns: usize) -> Self {
        Self {
            start: self.start.wrapping_add(columns),
            ..self
        }
    }
}

/// Calls a function of a constant number of vectors: at most [`FEW`] or [`max_vectors`].
macro_rules! for_count {
    ($count:expr, $function:ident::<$isa:ty, $stored:ty>($($arg:expr),*)) => {
        match $count {
            1 => $function::<$isa, $stored, 1>($($arg),*),
            2 => $function::<$isa, $stored, 2>($($arg),*),
            3 => $function::<$isa, $stored, 3>($($arg),*),
            _ if <$isa>::WIDE && $count == max_vectors::<$isa>() => {
                $function::<$isa, $stored, 8>($($arg),*);
            }
            _ => $function::<$isa, $stored, 4>($($arg),*),
        }
    };
}

/// The scaled products of query vectors with the keys of a block at the positions `seen`, extended to whole runs of
/// sixteen.
///
/// # Safety
/// The CPU supports `I`. `keys.start` is a tile of keys in the format `S`, which no thread writes, and `seen` ends at
/// most at its stride. Every `q` is readable for `keys.dim` elements. `to` has a row for every `q`, writable for the
/// extended positions, which no other thread accesses.
#[inline(always)]
pub(super) unsafe fn score<I: Isa, S: TileFormat<I>>(
    keys: Keys,
    q: &[*const f32],
    seen: Range<usize>,
    scale: f32,
    to: Rows,
) {
    // SAFETY: the contract of this function; `for_count` passes the number of vectors.
    unsafe { for_count!(q.len(), score_seen::<I, S>(keys, q, seen, scale, to)) }
}

/// # Safety
/// As for [`score`].
#[inline(always)]
unsafe fn score_seen<I: Isa, S: TileFormat<I>, const R: usize>(
    keys: Keys,
    q: &[*const f32],
    seen: Range<usize>,
    scale: f32,
    to: Rows,
) {
    let mut position = seen.start / LANES * LANES;
    // SAFETY: the contract of this function. Strides are multiples of sixteen, so the runs are inside the tile.
    unsafe {
        if I::WIDE {
            while position + LANES < seen.end {
                score_runs::<I, S, R, 2>(keys, q, position, scale, to);
                position += 2 * LANES;
            }
        }
        while position < seen.end {
            score_runs::<I, S, R, 1>(keys, q, position, scale, to);
            position += LANES;
        }
    }
}

/// `R` vectors and `C` runs of sixteen positions. Elements are added in ascending order.
///
/// # Safety
/// As for [`score`], for the positions `position .. position + 16 · C`, which are inside the tile.
#[inline(always)]
unsafe fn score_runs<I: Isa, S: TileFormat<I>, const R: usize, const C: usize>(
    keys: Keys,
    q: &[*const f32],
    position: usize,
    scale: f32,
    to: Rows,
) {
    // SAFETY: the contract of this function. `q` has at least `R` vectors, as the slice checks, so `to` has `R` rows.
    unsafe {
        let mut vectors = [std::ptr::null(); R];
        vectors.copy_from_slice(&q[..R]);
        let mut sums = [[I::splat(0.0); C]; R];
        let mut element = 0;
        while element < keys.dim {
            let mut scales = [S::key_scale(keys, element, position); C];
            for c in 1..C {
                scales[c] = S::key_scale(keys, element, position + c * LANES);
            }
            let end = keys.dim.min(element + GROUP);
            while element < end {
                let mut loaded = [I::splat(0.0); C];
                S::prefetch(keys.next, element * keys.stride + position, C * LANES);
                for c in 0..C {
                    loaded[c] = S::key(keys, element, position + c * LANES, scales[c]);
                }
                for r in 0..R {
                    let q = I::splat(*vectors[r].add(element));
                    for c in 0..C {
                        sums[r][c] = I::fma(q, loaded[c], sums[r][c]);
                    }
                }
                element += 1;
            }
        }
        let scale = I::splat(scale);
        for r in 0..R {
            for c in 0..C {
                let to = to.row(r).add(position + c * LANES);
                I::store(to, I::mul(sums[r][c], scale));
            }
        }
    }
}

/// Adds the weighted values of a block, which holds the positions `block`, to the rows of `parts`: one for each query.
///
/// For each query, positions are added in ascending order. Values at positions that it does not see are not read.
///
/// # Safety
/// The CPU supports `I`. `values.start` is a tile of values in the format `S`, which no thread writes, and holds the
/// positions `block`. `weights` has a row for every query, with an initialized weight for every position that the
/// query sees. `parts` has a row for every query, with `values.padded` initialized sums, which no other thread
/// accesses.
#[inline(always)]
pub(super) unsafe fn add_weighted_values<I: Isa, S: TileFormat<I>>(
    values: Values,
    queries: &[Query],
    block: &Range<usize>,
    weights: Rows,
    parts: Rows,
) {
    let (first, last) = (queries[0], queries[queries.len() - 1]);
    let common = clip(last.start..first.end, block);
    let ragged = first.start < last.start || first.end < last.end;
    // SAFETY: the contract of this function. `common` is what all queries see, because neither start nor end of their
    // ranges decreases; `before` and `after` are seen by one query.
    unsafe {
        if ragged {
            for (r, query) in queries.iter().enumerate() {
                let seen = clip(query.start..query.end, block);
                let before = seen.start..seen.end.min(common.start);
                add_columns::<I, S, 1>(values, before, weights.from(r), parts.from(r));
            }
        }
        for_count!(
            queries.len(),
            add_columns::<I, S>(values, common.clone(), weights, parts)
        );
        if ragged {
            for (r, query) in queries.iter().enumerate() {
                let seen = clip(query.start..query.end, block);
                let after = seen.start.max(common.end)..seen.end;
                add_columns::<I, S, 1>(values, after, weights.from(r), parts.from(r));
            }
        }
    }
}

/// # Safety
/// As for [`add_weighted_values`], for the first `R` rows; their queries see `positions`.
#[inline(always)]
unsafe fn add_columns<I: Isa, S: TileFormat<I>, const R: usize>(
    values: Values,
    positions: Range<usize>,
    weights: Rows,
    parts: Rows,
) {
    if positions.is_empty() {
        return;
    }
    let mut column = 0;
    // SAFETY: the contract of this function; columns are inside the padded width, a multiple of sixteen.
    unsafe {
        if I::WIDE && R <= FEW {
            while column + 3 * LANES < values.padded {
                add::<I, S, R, 4>(values, positions.clone(), column, weights, parts);
                column += 4 * LANES;
            }
        }
        if I::WIDE && R > FEW {
            while column + LANES < values.padded {
                add::<I, S, R, 2>(values, positions.clone(), column, weights, parts);
                column += 2 * LANES;
            }
        }
        while column < values.padded {
            add::<I, S, R, 1>(values, positions.clone(), column, weights, parts);
            column += LANES;
        }
    }
}

/// `R` vectors and `C` runs of sixteen elements. Positions are added in ascending order.
///
/// # Safety
/// As for [`add_columns`]; `column`, a multiple of sixteen, plus `16 · C` is at most `values.padded`.
#[inline(always)]
unsafe fn add<I: Isa, S: TileFormat<I>, const R: usize, const C: usize>(
    values: Values,
    positions: Range<usize>,
    column: usize,
    weights: Rows,
    parts: Rows,
) {
    // SAFETY: the contract of this function.
    unsafe {
        let mut sums = [[I::splat(0.0); C]; R];
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = I::load(parts.row(r).add(column + c * LANES));
            }
        }
        for position in positions {
            let mut loaded = [I::splat(0.0); C];
            S::prefetch(values.next, position * values.padded + column, C * LANES);
            for c in 0..C {
                loaded[c] = S::value(values, position, column + c * LANES);
            }
            for r in 0..R {
                let weight = I::splat(*weights.row(r).add(position));
                for c in 0..C {
                    sums[r][c] = I::fma(weight, loaded[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                I::store(parts.row(r).add(column + c * LANES), sums[r][c]);
            }
        }
    }
}
