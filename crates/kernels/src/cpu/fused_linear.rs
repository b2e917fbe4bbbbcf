//! Fused linear layers: a norm, one or more matrix products of its result, and an epilogue, in one parallel loop.
//!
//! The loop has up to three phases:
//! 1. Rows are normalized, and quantized for repacked weights.
//! 2. Products are computed. Blocks of repacked weights go through the epilogue right away. Other weights, and gate
//!    and up weights whose tiles do not line up, write their unfused products to memory.
//! 3. The epilogue is applied to the unfused products.

mod part;

use std::{cell::RefCell, mem::MaybeUninit, ops::Range, sync::Arc};

use super::{
    Cpu,
    epilogue::{self, BLOCK_OUTPUTS, Block, Epilogue},
    linear, norm,
    repack::{Operands, QuantizedRows, TILE, gemm},
};
use crate::{
    KernelError, Linear, Norm, Param,
    rows::Arena,
    shared::{Scratch, SharedOutput},
    weight::Storage,
};
use part::{Kind, OutputColumns, Part, TileRange};

/// Elements per task while rows are prepared or finished.
const TASK_ELEMENTS: usize = 16 * 1024;
/// Rows per block of the int8 kernel.
const BLOCK_ROWS: usize = 16;
/// Rows per task: longer inputs are also split by rows, so that weights with few outputs keep all threads busy.
const TASK_ROWS: usize = 128;
/// Bytes of weights per task when there are few rows: long sequential reads are faster than short ones.
const TASK_BYTES: usize = 256 * 1024;
/// Minimum number of tasks per thread, so that threads finish at about the same time.
const TASKS_PER_THREAD: usize = 4;

thread_local! {
    /// A normalized row.
    static NORMALIZED_ROW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The activations, with an optional norm.
#[derive(Clone, Copy)]
pub(crate) struct FusedLinearInput<'a> {
    pub x: &'a [f32],
    pub rows: usize,
    /// Applied to the rows first.
    pub norm: Option<&'a Norm>,
}

/// Writes `epilogue(norm(x) · [weights]ᵀ + [biases])`, `[rows, width]`, to `out`. The outputs of the weights are
/// concatenated along the columns. Intermediate values are in `arena`.
///
/// # Panics
/// If `x` does not have `rows` rows of as many columns as every weight, or `out` has another length.
pub(crate) fn fused_linear(
    cpu: &Cpu,
    arena: &Arc<Arena>,
    input: FusedLinearInput<'_>,
    linears: &[&Linear],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = input.rows;
    let product = FusedLinear::new(cpu, arena, input, linears, epilogue, out)?;
    if rows > 0 {
        product.run();
    }
    Ok(())
}

struct FusedLinear<'a> {
    cpu: &'a Cpu,
    /// Memory of intermediate values.
    arena: &'a Arc<Arena>,
    input: FusedLinearInput<'a>,
    cols: usize,
    /// Normalized rows for weights that are multiplied as floats.
    normalized: Option<Scratch<f32>>,
    /// Rows quantized for each group size of the weights.
    quantized: Vec<QuantizedRows>,
    parts: Vec<Part<'a>>,
    epilogue: Epilogue<'a>,
    /// Products that the last phase processes, and their number per row.
    unfused: Option<(Scratch<f32>, usize)>,
    out: SharedOutput<'a>,
    /// Columns of `out`.
    width: usize,
}

impl<'a> FusedLinear<'a> {
    fn new(
        cpu: &'a Cpu,
        arena: &'a Arc<Arena>,
        input: FusedLinearInput<'a>,
        linears: &[&'a Linear],
        epilogue: Epilogue<'a>,
        out: &'a mut [f32],
    ) -> Result<Self, KernelError> {
        let cols = linears.first().map_or(0, |linear| linear.weight.cols());
        assert!(
            input.x.len() == input.rows * cols
                && linears.iter().all(|linear| linear.weight.cols() == cols)
        );
        let total: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let width = match epilogue {
            Epilogue::Glu(_) => total / 2,
            _ => total,
        };
        assert!(out.len() == input.rows * width);
        let mut product = Self {
            cpu,
            arena,
            input,
            cols,
            normalized: None,
            quantized: Vec::new(),
            parts: Vec::new(),
            epilogue,
            unfused: None,
            out: SharedOutput::new(out),
            width,
        };
        product.plan(linears, total)?;
        Ok(product)
    }

    fn plan(&mut self, linears: &[&'a Linear], total: usize) -> Result<(), KernelError> {
        let ranges = linears.iter().map(|linear| self.tile_range(linear));
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        match (self.epilogue, ranges.as_slice()) {
            (Epilogue::Glu(_), [Some(gate), Some(up)]) => {
                self.add_tiles(*gate, Some(*up), self.width, 0);
                return Ok(());
            }
            (Epilogue::Glu(_), [Some(fused)]) if self.width.is_multiple_of(TILE) => {
                let half = self.width / TILE;
                let (gate, up) = (fused.part(0, half), fused.part(half, half));
                self.add_tiles(gate, Some(up), self.width, 0);
                return Ok(());
            }
            _ => {}
        }
        let stored = matches!(self.epilogue, Epilogue::Store);
        let pairs = matches!(self.epilogue, Epilogue::Glu(_));
        if !stored && (pairs || ranges.iter().any(Option::is_none)) {
            self.unfused = Some((self.scratch(total)?, total));
        }
        let mut column = 0;
        for (linear, gate) in linears.iter().zip(ranges) {
            let outputs = linear.weight.rows();
            if let Some(gate) = gate {
                self.add_tiles(gate, None, outputs, column);
            } else {
                if self.input.norm.is_some() && self.normalized.is_none() {
                    self.normalized = Some(self.scratch(self.cols)?);
                }
                let kind = Kind::Dequantized(linear);
                self.parts.push(Part { kind, column });
            }
            column += outputs;
        }
        Ok(())
    }

    /// Memory for `width` intermediate values of every row.
    fn scratch(&self, width: usize) -> Result<Scratch<f32>, KernelError> {
        Scratch::new(self.arena, self.input.rows * width)
    }

    /// All tiles of a repacked weight; `None` for other weights.
    fn tile_range(&mut self, linear: &'a Linear) -> Result<Option<TileRange<'a>>, KernelError> {
        let Storage::Repacked(weight) = linear.weight.storage() else {
            return Ok(None);
        };
        let group = weight.group_size();
        let known = self.quantized.iter().position(|rows| rows.group() == group);
        if known.is_none() {
            let rows = QuantizedRows::new(self.arena, self.input.rows, self.cols, group)?;
            self.quantized.push(rows);
        }
        Ok(Some(TileRange {
            weight,
            first: 0,
            count: weight.tiles(),
            rows: known.unwrap_or(self.quantized.len() - 1),
            bias: linear.bias.as_ref().map(Param::as_slice),
        }))
    }

    fn add_tiles(
        &mut self,
        gate: TileRange<'a>,
        up: Option<TileRange<'a>>,
        outputs: usize,
        column: usize,
    ) {
        let per_task = if self.input.rows > BLOCK_ROWS {
            BLOCK_OUTPUTS / TILE
        } else {
            let bytes = gate.weight.tile_bytes() + up.map_or(0, |b| b.weight.tile_bytes());
            let share = gate.count.div_ceil(TASKS_PER_THREAD * self.cpu.threads());
            (TASK_BYTES / bytes).min(share).max(1)
        };
        let kind = Kind::Repacked {
            gate,
            up,
            outputs,
            per_task,
        };
        self.parts.push(Part { kind, column });
    }

    /// Number of tasks that the rows are split into for repacked weights.
    fn row_tasks(&self) -> usize {
        self.input.rows.div_ceil(TASK_ROWS)
    }

    fn tasks(&self, part: &Part<'_>) -> usize {
        match &part.kind {
            Kind::Dequantized(linear) => self.dequantized(linear, part.column).tasks(),
            Kind::Repacked { gate, per_task, .. } => {
                gate.count.div_ceil(*per_task) * self.row_tasks()
            }
        }
    }

    fn run(&self) {
        let rows_per_task = |width: usize| (TASK_ELEMENTS / width).max(1);
        let rows = self.input.rows;
        let prepared = rows_per_task(self.cols);
        let has_prepare = self.normalized.is_some() || !self.quantized.is_empty();
        let finished = rows_per_task(self.width);
        let counts = [
            if has_prepare {
                rows.div_ceil(prepared)
            } else {
                0
            },
            self.parts.iter().map(|part| self.tasks(part)).sum(),
            self.unfused.as_ref().map_or(0, |_| rows.div_ceil(finished)),
        ];
        let range = |index, size| index * size..rows.min((index + 1) * size);
        self.cpu
            .pool
            .parallel_phases(&counts, &|phase, index| match phase {
                0 => self.prepare(range(index, prepared)),
                1 => self.multiply(index),
                _ => self.finish_unfused(range(index, finished)),
            });
    }

    fn prepare(&self, rows: Range<usize>) {
        let level = self.cpu.level;
        NORMALIZED_ROW.with_borrow_mut(|scratch| {
            for row in rows {
                let x = &self.input.x[row * self.cols..][..self.cols];
                let x = match self.input.norm {
                    None => x,
                    Some(norm) => {
                        scratch.resize(self.cols, 0.0);
                        // SAFETY: the CPU supports `cpu.level`, which was detected.
                        unsafe {
                            norm::chunks(level, norm, x, norm.normalized_size(self.cols), scratch);
                        }
                        &*scratch
                    }
                };
                // SAFETY: the CPU supports `cpu.level`, which was detected. `normalized` has `cols` elements for the
                // row, which `x` is not part of. Only this task accesses the row in this phase.
                unsafe {
                    if let Some(normalized) = &self.normalized {
                        let to = normalized.pointer(row * self.cols);
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
                    Kind::Dequantized(linear) => {
                        let count = self.input.rows * self.cols;
                        let x = self.normalized.as_ref().map_or(self.input.x, |normalized| {
                            // SAFETY: the first phase, which is complete, has written all rows.
                            unsafe { normalized.slice(0, count) }
                        });
                        // SAFETY: the target has `stride` columns for every row, among them the outputs of this part
                        // from its column on. Each task runs once, and no other part has the same columns.
                        unsafe { self.dequantized(linear, part.column).run(self.cpu, x, task) };
                    }
                    Kind::Repacked {
                        gate,
                        up,
                        outputs,
                        per_task,
                    } => {
                        let (row_task, task) = (task % self.row_tasks(), task / self.row_tasks());
                        let per_row_task = self.input.rows.div_ceil(self.row_tasks());
                        let first = row_task * per_row_task;
                        let rows = first..self.input.rows.min(first + per_row_task);
                        let range = task * per_task..gate.count.min((task + 1) * per_task);
                        let columns = OutputColumns {
                            column: part.column,
                            outputs: *outputs,
                        };
                        for first in range.clone().step_by(BLOCK_OUTPUTS / TILE) {
                            let count = (range.end - first).min(BLOCK_OUTPUTS / TILE);
                            let gate = gate.part(first, count);
                            let up = up.map(|up| up.part(first, count));
                            self.multiply_block(gate, up, first * TILE, columns, rows.clone());
                        }
                    }
                }
                return;
            }
            task -= tasks;
        }
    }

    /// The memory and row length that products are written to.
    fn target(&self) -> (SharedOutput<'_>, usize) {
        match &self.unfused {
            Some((unfused, total)) => (unfused.output(), *total),
            None => (self.out, self.width),
        }
    }

    fn dequantized<'b>(&'b self, linear: &'b Linear, column: usize) -> linear::Product<'b> {
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

    /// Computes at most [`BLOCK_OUTPUTS`] outputs of `rows`; `output` is the first of them within its part.
    fn multiply_block(
        &self,
        gate: TileRange<'_>,
        up: Option<TileRange<'_>>,
        output: usize,
        columns: OutputColumns,
        rows: Range<usize>,
    ) {
        let mut products = [MaybeUninit::<f32>::uninit(); BLOCK_ROWS * BLOCK_OUTPUTS];
        let mut up_products = [MaybeUninit::<f32>::uninit(); BLOCK_ROWS * BLOCK_OUTPUTS];
        let (out, stride) = self.target();
        let epilogue = if self.unfused.is_some() {
            Epilogue::Store
        } else {
            self.epilogue
        };
        for first in rows.clone().step_by(BLOCK_ROWS) {
            let rows = first..rows.end.min(first + BLOCK_ROWS);
            let to = products.as_mut_ptr().cast();
            let to_up = up_products.as_mut_ptr().cast();
            let at = rows.start * stride + columns.column + output;
            // SAFETY: the CPU supports `cpu.level`, which was detected. The first phase, which is complete, has
            // quantized the rows. The arrays have room for `BLOCK_ROWS` rows of `BLOCK_OUTPUTS`, at least the
            // `count · TILE` products that `multiply_tiles` writes, which include the columns of the block; with
            // `Epilogue::Glu` there is an up weight. The target has the rows and the columns of this part, and no
            // other task writes this block of outputs.
            unsafe {
                self.multiply_tiles(gate, rows.clone(), to);
                if let Some(up) = up {
                    self.multiply_tiles(up, rows.clone(), to_up);
                }
                epilogue::apply(
                    self.cpu.level,
                    epilogue,
                    &Block {
                        rows: rows.len(),
                        cols: BLOCK_OUTPUTS
                            .min(columns.outputs - output)
                            .min(gate.count * TILE),
                        values: to,
                        up: to_up,
                        stride: BLOCK_OUTPUTS,
                        bias: gate.bias,
                        up_bias: up.and_then(|up| up.bias),
                        index: at,
                        out: out.pointer(at),
                        out_stride: stride,
                    },
                );
            }
        }
    }

    /// Writes the products of `rows` with the outputs of a tile range to `to`, [`BLOCK_OUTPUTS`] floats from row to
    /// row.
    ///
    /// # Safety
    /// The rows have been quantized, and no thread writes them. `to` is aligned and writable for `count · TILE`
    /// floats of every row, which no other thread accesses.
    unsafe fn multiply_tiles(&self, tiles: TileRange<'_>, rows: Range<usize>, to: *mut f32) {
        let operands = Operands {
            weight: tiles.weight,
            x: &self.quantized[tiles.rows],
        };
        for tile in 0..tiles.count {
            // SAFETY: the CPU supports `cpu.dots`, which was detected. `new` has checked the number of columns, and
            // the rows have the group size of the weight. The rest is the contract of this function.
            unsafe {
                let to = to.add(tile * TILE);
                gemm(
                    self.cpu.dots,
                    operands,
                    tiles.first + tile,
                    rows.clone(),
                    to,
                    BLOCK_OUTPUTS,
                );
            }
        }
    }

    fn finish_unfused(&self, rows: Range<usize>) {
        let Some((unfused, total)) = &self.unfused else {
            return;
        };
        let values = unfused.pointer(rows.start * total);
        let index = rows.start * self.width;
        // SAFETY: the CPU supports `cpu.level`, which was detected. The second phase, which is complete, has written
        // `total` products for every row, of which the last `width` are those of the up projection. Each row of the
        // output, which is other memory, is written by one task.
        unsafe {
            epilogue::apply(
                self.cpu.level,
                self.epilogue,
                &Block {
                    rows: rows.len(),
                    cols: self.width,
                    values,
                    up: values.add(total - self.width),
                    stride: *total,
                    bias: None,
                    up_bias: None,
                    index,
                    out: self.out.pointer(index),
                    out_stride: self.width,
                },
            );
        }
    }
}
