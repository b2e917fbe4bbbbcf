//! Calling a closure for every row on the threads of the pool.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result};

use super::{Cpu, shared::SharedOutput};

/// Calls `visit` once for every row of a contiguous f32 tensor of rank 2.
pub(crate) struct EachRow<'a> {
    pub cpu: &'a Cpu,
    pub visit: &'a (dyn Fn(usize, &mut [f32]) + Sync),
}

impl InplaceOp1 for EachRow<'_> {
    fn name(&self) -> &'static str {
        "for_each_row"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (rows, width) = layout.shape().dims2()?;
        let CpuStorage::F32(values) = storage else {
            candle_core::bail!("{}: expected f32", self.name());
        };
        let values = &mut values[layout.start_offset()..];
        let shared = SharedOutput::new(&mut values[..rows * width]);
        self.cpu.pool.parallel_for(rows, &|row| {
            // SAFETY: every row is visited once, and rows do not overlap, so there is no other reference to this part.
            let values = unsafe { shared.part(row * width, width) };
            (self.visit)(row, values);
        });
        Ok(())
    }
}
