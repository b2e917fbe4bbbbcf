//! A model on its device, before its worker thread starts.

use std::path::Path;
use std::time::Instant;

use mlxm_kernels::metal::SelfTest;
use mlxm_kernels::{CpuOptions, Kernels};

use super::device::{self, ComputeDevice, Selected};
use super::loading::{LoadPlan, check_options};
use super::warm_up::compile_kernels;
use crate::cancel::CancelToken;
use crate::checkpoint::{LoadProgress, LoadedParameters};
use crate::error::LoadError;
use crate::forward::{CachePool, Model};
use crate::options::{DeviceChoice, LoadOptions};

/// A loaded model with its cache.
pub(super) struct Prepared {
    pub(super) device: ComputeDevice,
    pub(super) load_plan: LoadPlan,
    pub(super) kernels: Kernels,
    pub(super) model: Box<dyn Model>,
    pub(super) parameters: LoadedParameters,
    pub(super) cache: CachePool,
}

impl Prepared {
    /// Loads a checkpoint on `kernels`, or on the device that the options choose. With [`DeviceChoice::Auto`], the CPU takes
    /// over a model that cannot run on the GPU.
    pub(super) fn new(
        path: &Path,
        options: &LoadOptions,
        kernels: Option<Kernels>,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Self, LoadError> {
        check_options(options)?;
        let load = |kernels, fallback| Self::on(kernels, fallback, path, options, cancel, progress);
        if let Some(kernels) = kernels {
            return load(kernels, None);
        }
        let cpu = || {
            Kernels::cpu(CpuOptions {
                threads: options.threads,
                activation_dtype: options.activation_dtype,
            })
        };
        match device::open(options.device)? {
            Selected::Cpu { fallback } => load(cpu(), fallback),
            Selected::Metal(gpu) => {
                let mut kernels = Kernels::on_device(gpu);
                if let Some(threads) = options.threads {
                    // They sample.
                    kernels.set_threads(threads);
                }
                let loaded = load(kernels, None).and_then(Self::self_tested);
                match loaded {
                    Err(error)
                        if options.device == DeviceChoice::Auto
                            && device::may_work_on_cpu(&error) =>
                    {
                        tracing::warn!("the model runs on the CPU: {error}");
                        load(cpu(), Some(error.to_string()))
                    }
                    loaded => loaded,
                }
            }
        }
    }

    fn on(
        kernels: Kernels,
        fallback: Option<String>,
        path: &Path,
        options: &LoadOptions,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Self, LoadError> {
        let gpu = kernels.device_info();
        let working_set_bytes = gpu.as_ref().map(|gpu| gpu.working_set_bytes);
        let device = ComputeDevice::new(gpu, fallback);
        tracing::info!("device: {device}");
        let load_plan = LoadPlan::new(path, options, working_set_bytes)?;
        let memory_plan = &load_plan.memory_plan;
        kernels.retain_activations(memory_plan.activation_bytes());
        let (model, parameters) = load_plan.build(Some(&kernels), cancel, progress)?;
        let mut cache = CachePool::new(
            &kernels,
            &load_plan.model_config.cache_layers(),
            &memory_plan.groups,
            memory_plan.block_size,
            memory_plan.kv_cache_dtype,
        )?;
        compile_kernels(&kernels, &*model, &mut cache, memory_plan)?;
        Ok(Self {
            device,
            load_plan,
            kernels,
            model,
            parameters,
            cache,
        })
    }

    /// Checks that the GPU computes what the CPU does.
    fn self_tested(self) -> Result<Self, LoadError> {
        let start = Instant::now();
        let test = SelfTest {
            weights: &self.parameters.formats,
            attention: &self.load_plan.model_config.dimensions().attention.spec(),
            kv_cache_dtype: self.load_plan.memory_plan.kv_cache_dtype,
            block_size: self.load_plan.memory_plan.block_size,
        };
        let cases = test.run(&self.kernels)?;
        let duration_ms = start.elapsed().as_millis();
        tracing::info!("the GPU passed {cases} cases of the self-test in {duration_ms} ms");
        Ok(self)
    }
}
