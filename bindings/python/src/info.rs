//! Properties and memory of a model as read-only Python objects.

use mlxm_chat::ChatModel;
use mlxm_engine::GroupKind;
use pyo3::prelude::*;

/// Quantization of most of a checkpoint's weights.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct Quantization {
    bits: u32,
    group_size: usize,
    mode: String,
}

/// Properties of a loaded checkpoint.
#[pyclass(frozen, get_all, module = "mlxm")]
pub struct ModelInfo {
    path: String,
    model_type: String,
    architecture: &'static str,
    parameters: u64,
    size_bytes: u64,
    quantization: Option<Quantization>,
    bits_per_weight: f64,
    vocab_size: usize,
    hidden_size: usize,
    layers: usize,
    attention_heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    ignores_images: bool,
    sliding_window: Option<usize>,
    max_position_embeddings: Option<usize>,
    context_length: usize,
    block_size: usize,
    has_chat_template: bool,
    supports_tools: bool,
    supports_thinking: bool,
    eos_token_ids: Vec<u32>,
}

impl ModelInfo {
    pub fn new(model: &ChatModel) -> Self {
        let (info, plan) = (model.engine().info(), model.engine().memory_plan());
        let chat = model.capabilities();
        Self {
            path: info.path.display().to_string(),
            model_type: info.model_type.clone(),
            architecture: info.architecture,
            parameters: info.parameters,
            size_bytes: info.size_bytes,
            quantization: info.quantization.map(|spec| Quantization {
                bits: spec.bits,
                group_size: spec.group_size,
                mode: spec.mode.to_string(),
            }),
            bits_per_weight: info.bits_per_weight,
            vocab_size: info.vocab_size,
            hidden_size: info.hidden_size,
            layers: info.layers,
            attention_heads: info.attention_heads,
            key_value_heads: info.key_value_heads,
            head_dim: info.head_dim,
            ignores_images: info.ignores_images,
            sliding_window: info.sliding_window,
            max_position_embeddings: info.max_position_embeddings,
            context_length: plan.context_length,
            block_size: plan.block_size,
            has_chat_template: chat.has_chat_template,
            supports_tools: chat.supports_tools,
            supports_thinking: chat.supports_thinking,
            eos_token_ids: info.eos_token_ids.clone(),
        }
    }
}

#[pymethods]
impl ModelInfo {
    fn __repr__(&self) -> String {
        format!(
            "ModelInfo(path={:?}, model_type={:?}, parameters={})",
            self.path, self.model_type, self.parameters
        )
    }
}

/// The cache blocks of a group of layers.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct CacheGroup {
    window: Option<usize>,
    layers: usize,
    blocks: usize,
    block_bytes: u64,
}

/// The memory of a loaded model.
#[pyclass(frozen, get_all, module = "mlxm")]
pub struct MemoryPlan {
    weights_bytes: u64,
    kv_cache_dtype: String,
    kv_bytes_per_token: u64,
    kv_pool_bytes: u64,
    scratch_bytes: u64,
    total_bytes: u64,
    context_length: usize,
    max_sequences: usize,
    block_size: usize,
    groups: Vec<CacheGroup>,
}

impl MemoryPlan {
    pub fn new(plan: &mlxm_engine::MemoryPlan) -> Self {
        let group = |group: &mlxm_engine::CacheGroupPlan| CacheGroup {
            window: match group.kind {
                GroupKind::SlidingWindow { window } => Some(window),
                _ => None,
            },
            layers: group.layers,
            blocks: group.blocks,
            block_bytes: group.block_bytes,
        };
        Self {
            weights_bytes: plan.weights_bytes,
            kv_cache_dtype: plan.kv_cache_dtype.to_string(),
            kv_bytes_per_token: plan.kv_bytes_per_token,
            kv_pool_bytes: plan.kv_pool_bytes,
            scratch_bytes: plan.scratch_bytes,
            total_bytes: plan.total_bytes,
            context_length: plan.context_length,
            max_sequences: plan.max_sequences,
            block_size: plan.block_size,
            groups: plan.groups.iter().map(group).collect(),
        }
    }
}

#[pymethods]
impl MemoryPlan {
    fn __repr__(&self) -> String {
        format!(
            "MemoryPlan(total_bytes={}, context_length={})",
            self.total_bytes, self.context_length
        )
    }
}
