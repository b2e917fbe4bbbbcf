//! A norm, one or more matrix products of its result, and what is done with them, in one loop over all threads.
//!
//! The loop has three phases at most:
//! 1. rows are normalized, and quantized for the weights that want it;
//! 2. products are computed. Weights in tiles go on, a few tiles at a time, to what is done with the result; others, and
//!    tiles whose partners (gate and up) do not line up, leave the bare products in memory,
//! 3. from where the last phase finishes them.

use std::{cell::RefCell, mem::MaybeUninit, ops::Range};

use super::{
    Cpu,
    epilogue::{self, Block, Epilogue, STRIP},
    linear, norm,
    repack::{Operands, QuantizedRows, RepackedWeight, TILE, multiply},
    shared::UninitBuffer,
};
use crate::{Linear, Norm, Param, weight::Storage};

/// Elements that are worth handing to another thread while rows are prepared or finished.
const TASK_ELEMENTS: usize = 16 * 1024;
/// Rows that a strip of tiles is multiplied with at once.
const BLOCK_ROWS: usize = 16;
/// Rows of a task: with more, a product is cut by rows as well, so that few outputs still keep all threads busy.
const TASK_ROWS: usize = 128;
/// Bytes of tiles that make a task when rows are few: long runs of memory come faster than short ones.
const TASK_BYTES: usize = 256 * 1024;
/// Tasks that a weight is cut into at least, for the threads to finish at about the same time.
const TASKS_PER_THREAD: usize = 4;

thread_local! {
    /// A normalized row.
    static NORMED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The rows that are multiplied.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub x: &'a [f32],
    pub rows: usize,
    /// What is done to them first.
    pub norm: Option<&'a Norm>,
}

/// Computes `finish(norm(x) · [weights]ᵀ + [biases])`, `[rows, width]`; the outputs of the weights stand side by side.
pub(crate) fn product(
    cpu: &Cpu,
    input: Input<'_>,
    linears: &[&Linear],
    finish: Epilogue<'_>,
) -> Vec<f32> {
    let rows = input.rows;
    let product = Product::new(cpu, input, linears, finish);
    if rows > 0 {
        product.run();
    }
    // SAFETY: the phases write every element.
    unsafe { product.out.into_vec() }
}

struct Product<'a> {
    cpu: &'a Cpu,
    input: Input<'a>,
    cols: usize,
    /// Normalized rows for weights that are multiplied as floats.
    normed: Option<UninitBuffer<f32>>,
    /// For each group size that the weights ask for.
    quantized: Vec<QuantizedRows>,
    parts: Vec<Part<'a>>,
    finish: Epilogue<'a>,
    /// Products that the last phase finishes, and how many stand in a row.
    bare: Option<(UninitBuffer<f32>, usize)>,
    out: UninitBuffer<f32>,
    /// Columns of `out`.
    width: usize,
}

/// The tasks of one weight, or of a gate and the weight beside it.
struct Part<'a> {
    kind: Kind<'a>,
    /// Column of its first output.
    column: usize,
}

enum Kind<'a> {
    Floats(&'a Linear),
    RepackedWeight {
        strip: Strip<'a>,
        /// What is multiplied with the activated products.
        beside: Option<Strip<'a>>,
        /// Outputs.
        outputs: usize,
        /// RepackedWeight of a task.
        per_task: usize,
    },
}

/// A run of tiles of a weight.
#[derive(Clone, Copy)]
struct Strip<'a> {
    tiles: &'a RepackedWeight,
    first: usize,
    count: usize,
    /// Index of its rows among the quantized ones.
    rows: usize,
    bias: Option<&'a [f32]>,
}

impl Strip<'_> {
    fn part(self, first: usize, count: usize) -> Self {
        Self {
            first: self.first + first,
            count,
            bias: self.bias.map(|bias| &bias[first * TILE..]),
            ..self
        }
    }
}

impl<'a> Product<'a> {
    fn new(cpu: &'a Cpu, input: Input<'a>, linears: &[&'a Linear], finish: Epilogue<'a>) -> Self {
        let total: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let width = match finish {
            Epilogue::Gate(_) => total / 2,
            _ => total,
        };
        let mut product = Self {
            cpu,
            input,
            cols: linears.first().map_or(0, |linear| linear.weight.cols()),
            normed: None,
            quantized: Vec::new(),
            parts: Vec::new(),
            finish,
            bare: None,
            out: UninitBuffer::new(input.rows * width),
            width,
        };
        product.plan(linears, total);
        product
    }

    fn plan(&mut self, linears: &[&'a Linear], total: usize) {
        let strips: Vec<_> = linears.iter().map(|linear| self.strip(linear)).collect();
        match (self.finish, strips.as_slice()) {
            (Epilogue::Gate(_), [Some(gate), Some(up)]) => {
                self.add_strip(*gate, Some(*up), self.width, 0);
                return;
            }
            (Epilogue::Gate(_), [Some(joined)]) if self.width.is_multiple_of(TILE) => {
                let half = self.width / TILE;
                let (gate, up) = (joined.part(0, half), joined.part(half, half));
                self.add_strip(gate, Some(up), self.width, 0);
                return;
            }
            _ => {}
        }
        let stored = matches!(self.finish, Epilogue::Store);
        let pairs = matches!(self.finish, Epilogue::Gate(_));
        if !stored && (pairs || strips.iter().any(Option::is_none)) {
            self.bare = Some((UninitBuffer::new(self.input.rows * total), total));
        }
        let mut column = 0;
        for (linear, strip) in linears.iter().zip(strips) {
            let outputs = linear.weight.rows();
            if let Some(strip) = strip {
                self.add_strip(strip, None, outputs, column);
            } else {
                if self.input.norm.is_some() && self.normed.is_none() {
                    self.normed = Some(UninitBuffer::new(self.input.rows * self.cols));
                }
                let kind = Kind::Floats(linear);
                self.parts.push(Part { kind, column });
            }
            column += outputs;
        }
    }

    /// All tiles of a weight that has them, and rows quantized for it.
    fn strip(&mut self, linear: &'a Linear) -> Option<Strip<'a>> {
        let Storage::Repacked(tiles) = linear.weight.storage() else {
            return None;
        };
        let group = tiles.group_size();
        let known = self.quantized.iter().position(|rows| rows.group() == group);
        let rows = known.unwrap_or_else(|| {
            let rows = QuantizedRows::new(self.input.rows, self.cols, group);
            self.quantized.push(rows);
            self.quantized.len() - 1
        });
        Some(Strip {
            tiles,
            first: 0,
            count: tiles.count(),
            rows,
            bias: linear.bias.as_ref().map(Param::as_slice),
        })
    }

    fn add_strip(
        &mut self,
        strip: Strip<'a>,
        beside: Option<Strip<'a>>,
        outputs: usize,
        column: usize,
    ) {
        let per_task = if self.input.rows > BLOCK_ROWS {
            STRIP / TILE
        } else {
            let bytes = strip.tiles.tile_bytes() + beside.map_or(0, |b| b.tiles.tile_bytes());
            let share = strip.count.div_ceil(TASKS_PER_THREAD * self.cpu.threads());
            (TASK_BYTES / bytes).min(share).max(1)
        };
        let kind = Kind::RepackedWeight {
            strip,
            beside,
            outputs,
            per_task,
        };
        self.parts.push(Part { kind, column });
    }

    /// Cuts the rows of products with tiles.
    fn row_tasks(&self) -> usize {
        self.input.rows.div_ceil(TASK_ROWS)
    }

    fn tasks(&self, part: &Part<'_>) -> usize {
        match &part.kind {
            Kind::Floats(linear) => self.floats(linear, part.column).tasks(),
            Kind::RepackedWeight {
                strip, per_task, ..
            } => strip.count.div_ceil(*per_task) * self.row_tasks(),
        }
    }

    fn run(&self) {
        let rows_per_task = |width: usize| (TASK_ELEMENTS / width).max(1);
        let rows = self.input.rows;
        let prepared = rows_per_task(self.cols);
        let prepares = self.normed.is_some() || !self.quantized.is_empty();
        let finished = rows_per_task(self.width);
        let counts = [
            if prepares { rows.div_ceil(prepared) } else { 0 },
            self.parts.iter().map(|part| self.tasks(part)).sum(),
            self.bare.as_ref().map_or(0, |_| rows.div_ceil(finished)),
        ];
        let range = |index, size| index * size..rows.min((index + 1) * size);
        self.cpu
            .pool
            .parallel_phases(&counts, &|phase, index| match phase {
                0 => self.prepare(range(index, prepared)),
                1 => self.multiply(index),
                _ => self.finish_bare(range(index, finished)),
            });
    }

    fn prepare(&self, rows: Range<usize>) {
        let level = self.cpu.level;
        NORMED.with_borrow_mut(|scratch| {
            for row in rows {
                let x = &self.input.x[row * self.cols..][..self.cols];
                let x = match self.input.norm {
                    None => x,
                    Some(norm) => {
                        scratch.resize(self.cols, 0.0);
                        // SAFETY: the level was detected.
                        unsafe {
                            norm::chunks(level, norm, x, norm.normalized_size(self.cols), scratch)
                        };
                        &*scratch
                    }
                };
                // SAFETY: the level was detected, and each row is prepared by one task.
                unsafe {
                    if let Some(normed) = &self.normed {
                        let to = normed.pointer(row * self.cols);
                        to.copy_from_nonoverlapping(x.as_ptr(), self.cols);
                    }
                    for quantized in &self.quantized {
                        quantized.quantize(level, row, x);
                    }
                }
            }
        });
    }

    fn multiply(&self, mut task: usize) {
        for part in &self.parts {
            let tasks = self.tasks(part);
            if task < tasks {
                match &part.kind {
                    Kind::Floats(linear) => {
                        let count = self.input.rows * self.cols;
                        // SAFETY: the rows have been prepared by the phase before this one.
                        let x = self
                            .normed
                            .as_ref()
                            .map_or(self.input.x, |normed| unsafe { normed.slice(0, count) });
                        // SAFETY: each task runs once, and the output has room for all rows.
                        unsafe { self.floats(linear, part.column).run(self.cpu, x, task) };
                    }
                    Kind::RepackedWeight {
                        strip,
                        beside,
                        outputs,
                        per_task,
                    } => {
                        let (row_task, task) = (task % self.row_tasks(), task / self.row_tasks());
                        let per_row_task = self.input.rows.div_ceil(self.row_tasks());
                        let first = row_task * per_row_task;
                        let rows = first..self.input.rows.min(first + per_row_task);
                        let tiles = task * per_task..strip.count.min((task + 1) * per_task);
                        let place = Place {
                            column: part.column,
                            outputs: *outputs,
                        };
                        for first in tiles.clone().step_by(STRIP / TILE) {
                            let count = (tiles.end - first).min(STRIP / TILE);
                            let strip = strip.part(first, count);
                            let beside = beside.map(|beside| beside.part(first, count));
                            self.multiply_strip(strip, beside, first * TILE, place, rows.clone());
                        }
                    }
                }
                return;
            }
            task -= tasks;
        }
    }

    /// Where bare or finished products of strips and floats go: memory and row length.
    fn target(&self) -> (&UninitBuffer<f32>, usize) {
        match &self.bare {
            Some((bare, total)) => (bare, *total),
            None => (&self.out, self.width),
        }
    }

    fn floats<'b>(&'b self, linear: &'b Linear, column: usize) -> linear::Product<'b> {
        let (out, stride) = self.target();
        linear::Product {
            weight: &linear.weight,
            bias: linear.bias.as_ref().map(Param::as_slice),
            rows: self.input.rows,
            out: linear::Columns {
                start: out.pointer(column),
                stride,
            },
        }
    }

    /// Multiplies rows with at most [`STRIP`] outputs, the first of which is `output` of its part.
    fn multiply_strip(
        &self,
        strip: Strip<'_>,
        beside: Option<Strip<'_>>,
        output: usize,
        place: Place,
        rows: Range<usize>,
    ) {
        let mut products = [MaybeUninit::<f32>::uninit(); BLOCK_ROWS * STRIP];
        let mut products_beside = [MaybeUninit::<f32>::uninit(); BLOCK_ROWS * STRIP];
        let (out, stride) = self.target();
        let finish = if self.bare.is_some() {
            Epilogue::Store
        } else {
            self.finish
        };
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let rows = first..rows.end.min(first + BLOCK_ROWS);
            let to = products.as_mut_ptr().cast();
            let to_beside = products_beside.as_mut_ptr().cast();
            let at = rows.start * stride + place.column + output;
            // SAFETY: the levels were detected, the rows have been quantized by the phase before this one, the memory
            // has room for a block of rows and a strip of outputs, and each task writes its own elements.
            unsafe {
                self.multiply_tiles(strip, rows.clone(), to);
                if let Some(beside) = beside {
                    self.multiply_tiles(beside, rows.clone(), to_beside);
                }
                epilogue::finish(
                    self.cpu.level,
                    finish,
                    &Block {
                        rows: rows.len(),
                        cols: STRIP.min(place.outputs - output).min(strip.count * TILE),
                        values: to,
                        beside: to_beside,
                        stride: STRIP,
                        bias: strip.bias,
                        bias_beside: beside.and_then(|beside| beside.bias),
                        place: at,
                        out: out.pointer(at),
                        out_stride: stride,
                    },
                );
            }
        }
    }

    /// # Safety
    /// The rows have been quantized, and `to` has room for the block.
    unsafe fn multiply_tiles(&self, strip: Strip<'_>, rows: Range<usize>, to: *mut f32) {
        let operands = Operands {
            tiles: strip.tiles,
            x: &self.quantized[strip.rows],
        };
        for tile in 0..strip.count {
            // SAFETY: the level was detected; the rest is the caller's promise.
            unsafe {
                let to = to.add(tile * TILE);
                multiply(
                    self.cpu.dots,
                    operands,
                    strip.first + tile,
                    rows.clone(),
                    to,
                    STRIP,
                );
            }
        }
    }

    fn finish_bare(&self, rows: Range<usize>) {
        let Some((bare, total)) = &self.bare else {
            return;
        };
        let values = bare.pointer(rows.start * total);
        let place = rows.start * self.width;
        // SAFETY: the level was detected, the products have been computed by the phase before this one, and each row is
        // finished by one task.
        unsafe {
            epilogue::finish(
                self.cpu.level,
                self.finish,
                &Block {
                    rows: rows.len(),
                    cols: self.width,
                    values,
                    beside: values.add(total - self.width),
                    stride: *total,
                    bias: None,
                    bias_beside: None,
                    place,
                    out: self.out.pointer(place),
                    out_stride: self.width,
                },
            );
        }
    }
}

/// Where the outputs of a part stand in a row.
#[derive(Clone, Copy)]
struct Place {
    column: usize,
    outputs: usize,
}
