//! Preparation of a load: metadata, tokenizer and memory plan of a checkpoint.

use std::path::Path;

use mlxm_kernels::Kernels;

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
    pub(super) fn new(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        check_options(options)?;
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
        let memory_plan = MemoryPlan::new(
            &model_config.cache_layers(),
            &model_config.dimensions(),
            config.rope_scaled_context(),
            weights.size_bytes(),
            options,
        )?;
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
    let load_plan = LoadPlan::new(path.as_ref(), options)?;
    let (_, parameters) = load_plan.build(None, &CancelToken::default(), &|_| {})?;
    let info = load_plan.info(parameters);
    Ok((info, load_plan.memory_plan))
}

/// Checks the options that do not depend on the checkpoint.
fn check_options(options: &LoadOptions) -> Result<(), LoadError> {
    if options.threads == Some(0) {
        return Err(LoadError::InvalidOption(
            "threads must be at least 1".into(),
        ));
    }
    match options.device {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
        DeviceChoice::Metal => Err(LoadError::Device(
            "the Metal backend is not implemented yet: use `--device cpu` (or auto, which runs on the CPU)".into(),
        )),
    }
}
