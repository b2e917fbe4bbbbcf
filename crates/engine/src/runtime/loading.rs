//! Preparation of a load: metadata, tokenizer and memory plan of a checkpoint.

use std::path::Path;

use mlxm_kernels::Kernels;

use super::device::{self, Selected};
use super::memory::MemoryPlan;
use crate::cancel::CancelToken;
use crate::checkpoint::{
    CheckpointConfig, LoadProgress, LoadedParameters, Loader, Quantization, Weights,
};
use crate::error::LoadError;
use crate::forward::{Model, ModelConfig};
use crate::info::{ModelInfo, ModelMetadata};
use crate::models;
use crate::options::{DeviceChoice, LoadOptions};
use crate::text::Tokenizer;

/// A checkpoint whose metadata has been read. Its weights are memory-mapped but not yet read.
pub(super) struct LoadPlan {
    pub(super) config: CheckpointConfig,
    pub(super) architecture_name: &'static str,
    pub(super) model_config: Box<dyn ModelConfig>,
    pub(super) quantization: Quantization,
    pub(super) tokenizer: Tokenizer,
    pub(super) weights: Weights,
    pub(super) memory_plan: MemoryPlan,
}

impl LoadPlan {
    /// With `gpu`, the memory plan is for a GPU that can use so many bytes well.
    pub(super) fn new(
        path: &Path,
        options: &LoadOptions,
        gpu: Option<u64>,
    ) -> Result<Self, LoadError> {
        let config = CheckpointConfig::open(path)?;
        let (architecture_name, model_config) = models::read_model_config(&config)?;
        let mut weights = Weights::open(path)?;
        model_config
            .check_tensors(&weights)
            .map_err(|problem| LoadError::InvalidConfig {
                path: config.file(),
                problem,
            })?;
        model_config.sanitize(&mut weights);
        let quantization = Quantization::from_config(&config, &mut weights)?;
        let tokenizer = Tokenizer::from_dir(path)?;
        let (layers, sizes) = (model_config.cache_layers(), model_config.dimensions());
        let (context, bytes) = (config.rope_scaled_context(), weights.size_bytes());
        let memory_plan = match gpu {
            Some(working_set_bytes) => {
                MemoryPlan::on_gpu(&layers, &sizes, context, bytes, options, working_set_bytes)
            }
            None => MemoryPlan::new(&layers, &sizes, context, bytes, options),
        }?;
        Ok(Self {
            config,
            architecture_name,
            model_config,
            quantization,
            tokenizer,
            weights,
            memory_plan,
        })
    }

    /// Plans a load on the device that the model would run on.
    fn inspect(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        check_options(options)?;
        if let Selected::Metal(gpu) = device::open(options.device)? {
            let plan = Self::new(path, options, Some(gpu.info().working_set_bytes));
            match plan {
                Err(error)
                    if options.device == DeviceChoice::Auto && device::may_work_on_cpu(&error) => {}
                plan => return plan,
            }
        }
        Self::new(path, options, None)
    }

    /// Builds the model and describes its parameters. Without `kernels`, the weights are not read and the model cannot run.
    pub(super) fn build(
        &self,
        kernels: Option<&Kernels>,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<(Box<dyn Model>, LoadedParameters), LoadError> {
        let loader = Loader::new(
            &self.weights,
            &self.quantization,
            self.config.file(),
            self.memory_plan.context_length,
            kernels,
        )
        .with_cancel(cancel.clone())
        .with_progress(progress);
        let model = self.model_config.load(&loader.root())?;
        let parameters = loader.finish(&self.config.model_type)?;
        Ok((model, parameters))
    }

    pub(super) fn info(&self, parameters: LoadedParameters) -> ModelInfo {
        let mut eos_token_ids = self.config.eos_token_ids();
        eos_token_ids.extend(self.tokenizer.stop_ids());
        eos_token_ids.sort_unstable();
        eos_token_ids.dedup();
        ModelInfo::new(ModelMetadata {
            config: &self.config,
            architecture: self.architecture_name,
            dimensions: &self.model_config.dimensions(),
            cache_layers: &self.model_config.cache_layers(),
            ignores_images: self.model_config.ignores_images(),
            quantization: self.quantization.default_spec(),
            eos_token_ids,
            parameters,
            size_bytes: self.weights.size_bytes(),
        })
    }
}

/// Describes the checkpoint at `path` and plans its memory, without reading its weights.
///
/// ```
/// use mlxm_engine::{LoadOptions, inspect};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
/// let (info, plan) = inspect(folder, &LoadOptions::default())?;
/// println!("{} layers, {} KV bytes per token", info.layers, plan.kv_bytes_per_token);
/// println!("16 GiB hold a context of {} tokens", plan.largest_context(16 << 30));
/// # Ok::<(), mlxm_engine::LoadError>(())
/// ```
///
/// # Errors
/// As [`Engine::load`](crate::Engine::load).
pub fn inspect(
    path: impl AsRef<Path>,
    options: &LoadOptions,
) -> Result<(ModelInfo, MemoryPlan), LoadError> {
    let load_plan = LoadPlan::inspect(path.as_ref(), options)?;
    let (_, parameters) = load_plan.build(None, &CancelToken::default(), &|_| {})?;
    let info = load_plan.info(parameters);
    Ok((info, load_plan.memory_plan))
}

/// Checks the options that depend on neither the checkpoint nor the device.
pub(super) fn check_options(options: &LoadOptions) -> Result<(), LoadError> {
    if options.threads == Some(0) {
        return Err(LoadError::InvalidOption(
            "threads must be at least 1".into(),
        ));
    }
    Ok(())
}
