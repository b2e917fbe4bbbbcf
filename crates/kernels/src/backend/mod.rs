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
    metal::{self, Metal},
    op::Op,
    rows::{Arena, ArenaMemory},
    thread_pool::ThreadPool,
};

/// A device.
#[derive(Debug)]
pub(crate) enum Backend {
    Cpu(Cpu),
    /// Kernels in the Metal language.
    Metal(Box<Metal>),
    Counting(Counting),
}

impl Backend {
    /// The threads that visit rows on the host.
    pub fn thread_pool(&self) -> &ThreadPool {
        match self {
            Self::Cpu(cpu) => cpu.thread_pool(),
            Self::Metal(metal) => metal.thread_pool(),
            Self::Counting(counting) => counting.thread_pool(),
        }
    }

    /// The type of the activations that quantized weights are multiplied with.
    pub fn activation_dtype(&self) -> ActivationDtype {
        match self {
            Self::Cpu(cpu) => cpu.activation_dtype(),
            Self::Metal(_) | Self::Counting(_) => ActivationDtype::F32,
        }
    }

    /// What the places of activations refer to.
    pub fn arena_memory(&self) -> ArenaMemory {
        match self {
            Self::Cpu(_) => ArenaMemory::Host,
            Self::Metal(metal) => ArenaMemory::Device(metal.queue().clone()),
            Self::Counting(_) => ArenaMemory::None,
        }
    }

    /// Whether activations have values.
    pub fn has_values(&self) -> bool {
        !matches!(self, Self::Counting(_))
    }

    /// Whether the device finds the largest logits faster than the host.
    pub fn has_argmax(&self) -> bool {
        !matches!(self, Self::Cpu(_))
    }

    /// Waits until the host may write to memory of activations that is not in use.
    ///
    /// # Errors
    /// While a pass is being encoded on a device that starts it later.
    pub fn prepare_upload(&self, op: &'static str) -> Result<(), KernelError> {
        match self {
            Self::Metal(metal) => metal.prepare_upload(op),
            Self::Cpu(_) | Self::Counting(_) => Ok(()),
        }
    }

    /// Starts pass number `pass`.
    pub fn encoder(&self, pass: u64) -> Encoder<'_> {
        match self {
            Self::Cpu(cpu) => Encoder::Cpu(cpu),
            Self::Metal(metal) => Encoder::Metal(Box::new(metal::Encoder::new(metal, pass))),
            Self::Counting(counting) => Encoder::Counting(counting::Encoder::new(counting)),
        }
    }

    /// Waits until the values of finished pass number `pass` can be read by the host, as `op` does.
    ///
    /// # Errors
    /// If the device could not compute them or has no values.
    pub fn wait(&self, op: &'static str, pass: u64) -> Result<(), KernelError> {
        match self {
            // Operations are complete when their methods return.
            Self::Cpu(_) => Ok(()),
            Self::Metal(metal) => metal.wait(op, pass),
            Self::Counting(_) => Err(KernelError::NoValues { op }),
        }
    }
}

/// The operations of one pass on their way to the device. Unless it is finished, nothing is submitted.
pub(crate) enum Encoder<'a> {
    /// Computes at once.
    Cpu(&'a Cpu),
    Metal(Box<metal::Encoder<'a>>),
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
            Self::Metal(encoder) => encoder.run(&op, arguments, out),
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
            Self::Metal(encoder) => {
                encoder.rope_cos_sin(rope, positions)?;
                Ok(None)
            }
            Self::Counting(_) => Ok(None),
        }
    }

    /// Submits the operations, whose activations are in `arena`.
    pub fn finish(self, arena: &Arena) -> Result<(), KernelError> {
        match self {
            Self::Cpu(_) => Ok(()),
            Self::Metal(encoder) => encoder.finish(),
            Self::Counting(encoder) => {
                encoder.finish(arena);
                Ok(())
            }
        }
    }
}
