//! What executes the operations of a pass.
//!
//! A backend has the values of [`Rows`] and of the KV cache wherever it likes, and a layout of its own for both. It
//! gets operations whose operands have been checked. A new backend is a variant of [`Backend`], of [`Encoder`] and of
//! the memory of a [`crate::KvCache`].

use std::sync::Arc;

use crate::{
    KernelError, Rope, Rows,
    counting::{self, Counting},
    cpu::Cpu,
    kernels::{ActivationDtype, Arguments},
    op::Op,
    rows::{Arena, ArenaMemory},
    thread_pool::ThreadPool,
};

/// A device.
#[derive(Debug)]
pub(crate) enum Backend {
    Cpu(Cpu),
    Counting(Counting),
}

impl Backend {
    /// The threads that visit rows on the host.
    pub fn thread_pool(&self) -> &ThreadPool {
        match self {
            Self::Cpu(cpu) => cpu.thread_pool(),
            Self::Counting(counting) => counting.thread_pool(),
        }
    }

    /// The type of the activations that quantized weights are multiplied with.
    pub fn activation_dtype(&self) -> ActivationDtype {
        match self {
            Self::Cpu(cpu) => cpu.activation_dtype(),
            Self::Counting(_) => ActivationDtype::F32,
        }
    }

    /// What the places of activations refer to.
    pub fn arena_memory(&self) -> ArenaMemory {
        match self {
            Self::Cpu(_) => ArenaMemory::Host,
            Self::Counting(_) => ArenaMemory::None,
        }
    }

    /// Starts a pass.
    pub fn encoder(&self) -> Encoder<'_> {
        match self {
            Self::Cpu(cpu) => Encoder::Cpu(cpu),
            Self::Counting(counting) => Encoder::Counting(counting::Encoder::new(counting)),
        }
    }

    /// Waits until the values of finished pass number `_pass` can be read by the host, as `op` does.
    ///
    /// # Errors
    /// If the device has no values.
    pub fn wait(&self, op: &'static str, _pass: u64) -> Result<(), KernelError> {
        match self {
            // Operations are complete when their methods return.
            Self::Cpu(_) => Ok(()),
            Self::Counting(_) => Err(KernelError::NoValues { op }),
        }
    }
}

/// The operations of one pass on their way to the device. Unless it is finished, nothing is submitted.
pub(crate) enum Encoder<'a> {
    /// Computes at once.
    Cpu(&'a Cpu),
    Counting(counting::Encoder<'a>),
}

impl Encoder<'_> {
    /// Adds an operation, whose result is `out`.
    pub fn run(
        &mut self,
        op: Op<'_>,
        arguments: &Arguments<'_>,
        out: &mut Rows,
    ) -> Result<(), KernelError> {
        match self {
            Self::Cpu(cpu) => cpu.run(op, arguments, out),
            Self::Counting(encoder) => encoder.run(&op, arguments, out),
        }
    }

    /// Computes cosines, sines and factors of the queries for `positions` on the host. Returns them if the backend
    /// keeps them in main memory.
    pub fn rope_cos_sin(
        &mut self,
        rope: &Rope,
        positions: &[u32],
        arena: &Arc<Arena>,
    ) -> Result<Option<Rows>, KernelError> {
        match self {
            Self::Cpu(cpu) => {
                let mut values = Rows::new(arena, 0, positions.len(), rope.row_width())?;
                cpu.rope_cos_sin(rope, positions, values.as_mut_slice());
                Ok(Some(values))
            }
            Self::Counting(_) => Ok(None),
        }
    }

    /// Submits the operations, whose activations are in `arena`.
    pub fn finish(self, arena: &Arena) {
        match self {
            Self::Cpu(_) => {}
            Self::Counting(encoder) => encoder.finish(arena),
        }
    }
}
