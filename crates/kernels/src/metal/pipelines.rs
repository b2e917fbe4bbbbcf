//! Kernels that are compiled when they are first needed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Kernel, PipelineId, Source, queue::Queue};
use crate::KernelError;

/// The compiled kernels.
#[derive(Debug)]
pub(super) struct Pipelines {
    queue: Arc<Queue>,
    compiled: Mutex<HashMap<Kernel, PipelineId>>,
}

impl Pipelines {
    pub fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            compiled: Mutex::default(),
        }
    }

    /// The pipeline of a kernel, which is compiled unless it was before.
    pub fn get(&self, kernel: &Kernel) -> Result<PipelineId, KernelError> {
        if let Some(pipeline) = self.lock().get(kernel) {
            return Ok(*pipeline);
        }
        self.compile(&BTreeSet::from([*kernel]))?;
        let pipeline = self.lock().get(kernel).copied();
        pipeline.ok_or_else(|| compiler_error(format!("no pipeline for {}", kernel.host_name())))
    }

    /// Compiles those kernels that have not been compiled, a library for each file.
    pub fn compile(&self, kernels: &BTreeSet<Kernel>) -> Result<(), KernelError> {
        let mut compiled = self.lock();
        let mut missing: BTreeMap<Source, Vec<Kernel>> = BTreeMap::new();
        for kernel in kernels {
            if !compiled.contains_key(kernel) {
                missing.entry(kernel.source).or_default().push(*kernel);
            }
        }
        for (source, kernels) in missing {
            let names: Vec<String> = kernels.iter().map(Kernel::host_name).collect();
            let text = Kernel::library(source, &kernels);
            let pipelines = self
                .queue
                .compile(source, &text, &names)
                .map_err(|error| compiler_error(error.0))?;
            if pipelines.len() != kernels.len() {
                let counts = format!("{} pipelines for {}", pipelines.len(), names.join(", "));
                return Err(compiler_error(counts));
            }
            compiled.extend(kernels.into_iter().zip(pipelines));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kernel, PipelineId>> {
        // A panic cannot leave the map inconsistent.
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compiler_error(reason: String) -> KernelError {
    KernelError::Device {
        op: "compile",
        reason,
    }
}
