//! The arguments of a pass that do not depend on the layer: indices, cache slots, spans and rotation angles. They are
//! given once and named by handles, so that a device backend writes them once to a buffer.

use super::checks::{check_distinct, check_indices, shape_error};
use crate::{KernelError, KvShape, KvSpan, rows::Rows};

/// The position of an argument among those of its kind, and the pass it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Handle {
    pass: u64,
    index: usize,
}

/// Token ids or row numbers of a pass, from [`Pass::indices`](super::Pass::indices).
#[derive(Clone, Copy, Debug)]
pub struct Indices(Handle);

impl Indices {
    /// The position among those of its kind in the pass.
    pub(crate) fn index(self) -> usize {
        self.0.index
    }
}

/// The cache slots that the rows of a pass are written to, from [`Pass::slots`](super::Pass::slots).
#[derive(Clone, Copy, Debug)]
pub struct Slots(Handle);

impl Slots {
    /// The position among those of its kind in the pass.
    pub(crate) fn index(self) -> usize {
        self.0.index
    }
}

/// The sequences of a pass and their block tables, from [`Pass::spans`](super::Pass::spans).
#[derive(Clone, Copy, Debug)]
pub struct Spans(Handle);

impl Spans {
    /// The position among those of its kind in the pass.
    pub(crate) fn index(self) -> usize {
        self.0.index
    }
}

/// Cosines and sines of a [`crate::Rope`] at the positions of the rows of a pass, from
/// [`Pass::rope_cos_sin`](super::Pass::rope_cos_sin); shared by all layers.
#[derive(Clone, Copy, Debug)]
pub struct RopeCosSin(Handle);

impl RopeCosSin {
    /// The position among those of its kind in the pass.
    pub(crate) fn index(self) -> usize {
        self.0.index
    }
}

/// The arguments of a pass.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pass: u64,
    indices: Vec<&'a [u32]>,
    slots: Vec<&'a [u32]>,
    spans: Vec<SpanList<'a>>,
    angles: Vec<Angles>,
}

/// Spans in ascending order of their rows.
#[derive(Debug)]
pub(crate) struct SpanList<'a> {
    pub spans: Vec<KvSpan<'a>>,
    /// One past the last row.
    pub end: usize,
    /// Caches and windows whose blocks have been checked: they are the same in most layers.
    checked: Vec<(KvShape, Option<usize>)>,
}

/// The angles of each row.
#[derive(Debug)]
pub(crate) struct Angles {
    /// Elements of a head that are rotated.
    pub dims: usize,
    pub traditional: bool,
    pub attention_factor: f32,
    /// As in [`crate::Rope`].
    pub before_norms: bool,
    /// Number of rows; `None` if they have no values.
    pub rows: Option<usize>,
    /// Values of a row: `dims / 2` cosines, as many sines, then the factor of the queries if they are scaled.
    pub row_width: usize,
    /// The values of each row, where the backend keeps them in main memory.
    pub values: Option<Rows>,
}

impl<'a> Arguments<'a> {
    pub fn new(pass: u64) -> Self {
        Self {
            pass,
            indices: Vec::new(),
            slots: Vec::new(),
            spans: Vec::new(),
            angles: Vec::new(),
        }
    }

    pub fn add_indices(&mut self, indices: &'a [u32]) -> Indices {
        self.indices.push(indices);
        Indices(self.last(self.indices.len()))
    }

    pub fn add_slots(&mut self, slots: &'a [u32]) -> Result<Slots, KernelError> {
        check_distinct("slots", slots)?;
        self.slots.push(slots);
        Ok(Slots(self.last(self.slots.len())))
    }

    pub fn add_spans(&mut self, spans: Vec<KvSpan<'a>>) -> Result<Spans, KernelError> {
        let end = check_span_rows(&spans)?;
        self.spans.push(SpanList {
            spans,
            end,
            checked: Vec::new(),
        });
        Ok(Spans(self.last(self.spans.len())))
    }

    pub fn add_angles(&mut self, angles: Angles) -> RopeCosSin {
        self.angles.push(angles);
        RopeCosSin(self.last(self.angles.len()))
    }

    /// The handle of the last of `count` arguments.
    fn last(&self, count: usize) -> Handle {
        Handle {
            pass: self.pass,
            index: count - 1,
        }
    }

    pub fn indices(&self, op: &'static str, indices: Indices) -> Result<&'a [u32], KernelError> {
        self.find(op, &self.indices, indices.0).copied()
    }

    pub fn slots(&self, op: &'static str, slots: Slots) -> Result<&'a [u32], KernelError> {
        self.find(op, &self.slots, slots.0).copied()
    }

    pub fn angles(&self, op: &'static str, angles: RopeCosSin) -> Result<&Angles, KernelError> {
        self.find(op, &self.angles, angles.0)
    }

    pub fn spans(&self, op: &'static str, spans: Spans) -> Result<&SpanList<'a>, KernelError> {
        self.find(op, &self.spans, spans.0)
    }

    /// Checks that the blocks of the spans that are visible in `window` are in a cache of this shape.
    pub fn check_blocks(
        &mut self,
        op: &'static str,
        spans: Spans,
        shape: KvShape,
        window: Option<usize>,
    ) -> Result<(), KernelError> {
        self.find(op, &self.spans, spans.0)?;
        self.spans[spans.0.index].check_blocks(op, shape, window)
    }

    fn find<'s, T>(
        &self,
        op: &'static str,
        list: &'s [T],
        handle: Handle,
    ) -> Result<&'s T, KernelError> {
        let found = list.get(handle.index).filter(|_| handle.pass == self.pass);
        found.ok_or(KernelError::Handle {
            op,
            problem: "an argument of another pass",
        })
    }
}

impl SpanList<'_> {
    fn check_blocks(
        &mut self,
        op: &'static str,
        shape: KvShape,
        window: Option<usize>,
    ) -> Result<(), KernelError> {
        if self.checked.contains(&(shape, window)) {
            return Ok(());
        }
        for span in self.spans.iter().filter(|span| !span.rows.is_empty()) {
            let end = span.first_position + span.rows.len();
            let first = span.first_visible(window);
            let needed = end.div_ceil(shape.block_size);
            let Some(blocks) = span.blocks.get(first / shape.block_size..needed) else {
                return Err(shape_error(
                    op,
                    format!(
                        "a block table of {} blocks of {} positions",
                        span.blocks.len(),
                        shape.block_size
                    ),
                    format!("positions up to {end}"),
                ));
            };
            check_indices(op, "block", blocks, shape.blocks)?;
        }
        self.checked.push((shape, window));
        Ok(())
    }
}

/// Checks that spans are in ascending order, and returns one past their last row.
fn check_span_rows(spans: &[KvSpan<'_>]) -> Result<usize, KernelError> {
    const OP: &str = "spans";
    let mut next_row = 0;
    for span in spans {
        if span.rows.start < next_row {
            return Err(shape_error(
                OP,
                format!("a span of rows {:?}", span.rows),
                format!("the spans before it, which end at row {next_row}"),
            ));
        }
        if span.rows.start > span.rows.end {
            return Err(shape_error(
                OP,
                format!("a span of rows {:?}", span.rows),
                "an ascending range".to_owned(),
            ));
        }
        next_row = span.rows.end;
    }
    Ok(next_row)
}
