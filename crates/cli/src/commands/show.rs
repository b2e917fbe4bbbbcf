//! `mlxm show`: model details and memory requirements.

use std::path::PathBuf;

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_chat::ChatCapabilities;
use mlxm_engine::{
    CacheSize, LoadError, LoadOptions, MachineMemory, MemoryPlan, ModelInfo, QuantMode, QuantSpec,
};
use serde::Serialize;

use super::run::default_max_tokens;
use crate::complete;
use crate::context::Context;
use crate::locate;
use crate::memory_report::MemoryReport;
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
Weights are not loaded; all values come from the checkpoint metadata.
docs/models.md lists the architectures that load and what is verified for each.

Examples:
  mlxm show SmolLM2
  mlxm show SmolLM2 --context-length 4096   memory plan for this context length
  mlxm show SmolLM2 --json";

/// Show model details and memory requirements
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Show {
    /// Model directory, repository ID (owner/name), or unique part of a local model name
    #[arg(add = complete::models())]
    model: String,

    /// Context length in tokens for the memory plan [default: the largest of the model's maximum, 64k, 32k, 16k
    /// and 8k that fits in memory]
    #[arg(long, value_name = "N", alias = "context", value_parser = clap::value_parser!(u32).range(1..))]
    context_length: Option<u32>,

    /// Maximum number of concurrent sequences
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_sequences: u16,

    /// KV cache size in tokens for the memory plan [default: as many as fit in memory, up to the context length for each
    /// sequence]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    kv_pool_tokens: Option<u64>,

    /// Maximum number of batched tokens per step
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch_tokens: u32,
}

#[derive(Debug, Serialize)]
struct Description {
    name: String,
    path: PathBuf,
    model_type: String,
    architecture: &'static str,
    parameters: u64,
    size_bytes: u64,
    quantization: String,
    weights_by_quantization: Vec<QuantizationShare>,
    bits_per_weight: f64,
    layers: usize,
    hidden_size: usize,
    attention_heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    vocab_size: usize,
    ignores_images: bool,
    sliding_window: Option<usize>,
    max_position_embeddings: Option<usize>,
    chat_template: bool,
    tools: bool,
    thinking: bool,
    eos_token_ids: Vec<u32>,
    default_max_tokens: usize,
    memory: MemoryNeeds,
}

#[derive(Debug, Serialize)]
struct MemoryNeeds {
    #[serde(flatten)]
    plan: MemoryReport,
    machine_bytes: Option<u64>,
    budget_bytes: Option<u64>,
    largest_context_in_budget: Option<usize>,
    /// For programs that manage several models in one memory.
    cache_sizes: Vec<CacheSizeNeeds>,
}

/// A size of the KV cache, and the memory plan with it.
#[derive(Debug, Serialize)]
struct CacheSizeNeeds {
    context_length: usize,
    kv_pool_tokens: usize,
    total_bytes: u64,
}

impl From<CacheSize> for CacheSizeNeeds {
    fn from(size: CacheSize) -> Self {
        Self {
            context_length: size.context_length,
            kv_pool_tokens: size.kv_pool_tokens,
            total_bytes: size.total_bytes,
        }
    }
}

/// The part of a model's weights with the same quantization.
#[derive(Debug, Serialize)]
struct QuantizationShare {
    quantization: String,
    parameters: u64,
}

/// The quantization in a few characters: `4-bit g64`, `mxfp4`, `dense`; if it is mixed, with the shares of the weights:
/// `4-bit g64 (87%), 8-bit g64 (13%)`.
pub fn quantization(info: &ModelInfo) -> String {
    let counts = &info.parameters_by_quantization;
    let total: u64 = counts.iter().map(|(_, parameters)| parameters).sum();
    match counts.as_slice() {
        [] => quantization_name(info.quantization),
        [(spec, _)] => quantization_name(*spec),
        mixed => {
            let shares: Vec<String> = mixed
                .iter()
                .map(|(spec, parameters)| {
                    format!(
                        "{} ({})",
                        quantization_name(*spec),
                        percentage(*parameters, total)
                    )
                })
                .collect();
            shares.join(", ")
        }
    }
}

fn quantization_name(quantization: Option<QuantSpec>) -> String {
    match quantization {
        None => "dense".to_owned(),
        Some(spec) if spec.mode == QuantMode::Affine => {
            format!("{}-bit g{}", spec.bits, spec.group_size)
        }
        Some(spec) => spec.mode.to_string(),
    }
}

/// A share that is neither none nor all is not rounded to either.
fn percentage(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if percent < 1.0 {
        "<1%".to_owned()
    } else {
        format!("{:.0}%", percent.min(99.0))
    }
}

impl Description {
    fn of(
        name: String,
        info: ModelInfo,
        plan: &MemoryPlan,
        budget_bytes: Option<u64>,
        cache_sizes: Vec<CacheSize>,
    ) -> Self {
        let chat = ChatCapabilities::from_dir(&info.path);
        Self {
            name,
            quantization: quantization(&info),
            weights_by_quantization: info
                .parameters_by_quantization
                .iter()
                .map(|(spec, parameters)| QuantizationShare {
                    quantization: quantization_name(*spec),
                    parameters: *parameters,
                })
                .collect(),
            path: info.path,
            model_type: info.model_type,
            architecture: info.architecture,
            parameters: info.parameters,
            size_bytes: info.size_bytes,
            bits_per_weight: info.bits_per_weight,
            layers: info.layers,
            hidden_size: info.hidden_size,
            attention_heads: info.attention_heads,
            key_value_heads: info.key_value_heads,
            head_dim: info.head_dim,
            vocab_size: info.vocab_size,
            ignores_images: info.ignores_images,
            sliding_window: info.sliding_window,
            max_position_embeddings: info.max_position_embeddings,
            chat_template: chat.has_chat_template,
            tools: chat.supports_tools,
            thinking: chat.supports_thinking,
            eos_token_ids: info.eos_token_ids,
            default_max_tokens: default_max_tokens(plan.context_length),
            memory: MemoryNeeds {
                plan: MemoryReport::from(plan),
                machine_bytes: MachineMemory::read().map(|memory| memory.total_bytes),
                budget_bytes,
                largest_context_in_budget: budget_bytes.map(|bytes| plan.largest_context(bytes)),
                cache_sizes: cache_sizes.into_iter().map(CacheSizeNeeds::from).collect(),
            },
        }
    }

    fn fit(&self) -> Option<String> {
        let (budget, largest) = (
            self.memory.budget_bytes?,
            self.memory.largest_context_in_budget?,
        );
        let budget = DecimalBytes(budget);
        if largest == 0 {
            return Some(format!("does not fit in {budget}"));
        }
        Some(
            match self
                .max_position_embeddings
                .filter(|limit| largest >= *limit)
            {
                Some(limit) => {
                    format!("{limit} tokens in {budget}, the maximum of the model")
                }
                None => format!("{largest} tokens in {budget}"),
            },
        )
    }
}

impl Report for Description {
    fn sections(&self) -> Vec<Section> {
        let mut model = Section::properties(&self.name);
        model.property("path", self.path.display());
        let architecture = if self.architecture == self.model_type {
            self.model_type.clone()
        } else {
            format!("{} (run as {})", self.model_type, self.architecture)
        };
        model.property("architecture", architecture);
        model.property("parameters", units::count(self.parameters));
        model.property(
            "weights",
            format!(
                "{}, {}, {:.2} bits per weight",
                DecimalBytes(self.size_bytes),
                self.quantization,
                self.bits_per_weight
            ),
        );
        model.property(
            "layers",
            format!(
                "{} × {}, {} heads of {}, {} key-value heads",
                self.layers,
                self.hidden_size,
                self.attention_heads,
                self.head_dim,
                self.key_value_heads
            ),
        );
        model.property("vocabulary", self.vocab_size);
        if self.ignores_images {
            model.property("input", "text only: images are not supported yet");
        }
        if let Some(window) = self.sliding_window {
            model.property("sliding window", format!("{window} tokens"));
        }
        if let Some(limit) = self.max_position_embeddings {
            model.property("maximum context", format!("{limit} tokens"));
        }
        let yes = |value: bool| if value { "yes" } else { "no" };
        model.property("chat template", yes(self.chat_template));
        model.property("tools", yes(self.tools));
        model.property("thinking", yes(self.thinking));

        let mut memory = Section::properties("Memory plan");
        let plan = &self.memory.plan;
        memory.property("weights", DecimalBytes(plan.weights_bytes));
        memory.property(
            "KV cache",
            format!(
                "{} for {} tokens, {} per token, {}",
                DecimalBytes(plan.kv_pool_bytes),
                plan.context_length,
                DecimalBytes(plan.kv_bytes_per_token),
                plan.kv_cache_dtype
            ),
        );
        memory.property("scratch", DecimalBytes(plan.scratch_bytes));
        memory.property("total", DecimalBytes(plan.total_bytes));
        if let Some(bytes) = self.memory.machine_bytes {
            memory.property("this machine", DecimalBytes(bytes));
        }
        if let Some(fit) = self.fit() {
            memory.property("largest context", fit);
        }

        let mut defaults = Section::properties("Defaults for run");
        defaults.property(
            "context length",
            format!("{} tokens (--context-length)", plan.context_length),
        );
        defaults.property(
            "max new tokens",
            format!("{} tokens (--max-tokens)", self.default_max_tokens),
        );
        vec![model, memory, defaults]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![format!(
            "{} {} {} {}",
            self.name,
            self.model_type,
            self.quantization,
            DecimalBytes(self.memory.plan.total_bytes)
        )]
    }
}

impl Show {
    /// Reads the metadata and prints it.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let model = locate::hub()?.resolve(&self.model)?;
        let mut options = context.load_options();
        options.context_length = self.context_length.map(|length| length as usize);
        options.max_sequences = self.max_sequences.into();
        options.max_batch_tokens = self.max_batch_tokens as usize;
        options.kv_pool_tokens = self
            .kv_pool_tokens
            .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let (info, plan) = match mlxm_engine::inspect(&model.path, &options) {
            // Models that do not fit are shown as well.
            Err(LoadError::Memory(_)) => {
                let unlimited = LoadOptions {
                    memory_bytes: None,
                    ..options.clone()
                };
                mlxm_engine::inspect(&model.path, &unlimited)
            }
            inspected => inspected,
        }?;
        let cache_sizes = plan.cache_sizes(info.max_position_embeddings, &options);
        let budget_bytes = context.memory_budget_bytes();
        let description = Description::of(model.name, info, &plan, budget_bytes, cache_sizes);
        context.output.report(&description)?;
        Ok(())
    }
}
