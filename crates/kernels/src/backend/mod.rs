//! What executes the operations of a pass.
//!
//! A backend has the values of [`Rows`] and of the KV cache wherever it likes, and a layout of its own for both. It
//! gets operations whose operands have been checked. A new backend is a variant of [`Backend`], of [`Encoder`] and of
//! the memory of a [`crate::KvCache`].

use crate::{
    KernelError, Rope, Rows,
    cpu::Cpu,
    kernels::{ActivationDtype, Arguments},
    op::Op,
    rows::{Arena, ArenaMemory},
    thread_pool::ThreadPool,
};
use std::sync::Arc;

/// A device.
#[derive(Debug)]
pub(crate) enum Backend {
    Cpu(Cpu),
}

impl Backend {
    /// The threads that visit rows on the host.
    pub fn thread_pool(&self) -> &ThreadPool {
        match self {
            Self::Cpu(cpu) => cpu.thread_pool(),
        }
    }

    /// The type of the activations that quantized weights are multiplied with.
    pub fn activation_dtype(&self) -> ActivationDtype {
        match self {
            Self::Cpu(cpu) => cpu.activation_dtype(),
        }
    }

    /// What the places of activations refer to.
    pub fn arena_memory(&self) -> ArenaMemory {
        match self {
            Self::Cpu(_) => ArenaMemory::Host,
        }
    }

    /// Starts pass number `pass`.
    pub fn encoder(&self) -> Encoder<'_> {
        match self {
            Self::Cpu(cpu) => Encoder::Cpu(cpu),
        }
    }

    /// Waits until the values of a finished pass can be read by the host.
    pub fn wait(&self, _pass: u64) {
        match self {
            // Operations are complete when their methods return.
            Self::Cpu(_) => {}
        }
    }
}

/// The operations of one pass on their way to the device. Unless it is finished, nothing is submitted.
pub(crate) enum Encoder<'a> {
    /// Computes at once.
    Cpu(&'a Cpu),
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
            Self::Cpu(cpu) => cpu.run(op, arguments, out.as_mut_slice()),
        }
    }

    /// Computes cosines and sines for `positions` on the host, `[positions, dims]`. Returns them if the backend keeps
    /// them in main memory.
    pub fn rope_cos_sin(
        &mut self,
        rope: &Rope,
        positions: &[u32],
        arena: &Arc<Arena>,
    ) -> Result<Option<Rows>, KernelError> {
        match self {
            Self::Cpu(cpu) => {
                let mut values = Rows::new(arena, 0, positions.len(), rope.dims)?;
                cpu.rope_cos_sin(rope, positions, values.as_mut_slice());
                Ok(Some(values))
            }
        }
    }

    /// Submits the operations.
    pub fn finish(self) {
        match self {
            Self::Cpu(_) => {}
        }
    }
}
