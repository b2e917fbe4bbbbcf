//! The configuration of Nemotron-NAS.

use mlxm_kernels::Activation;
use serde::Deserialize;

use crate::models::llama;
use crate::nn::{AttentionBias, DecoderConfig, RopeKeys, RopeScaling};

/// `config.json` of a Nemotron-NAS checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    vocab_size: usize,
    pub(super) block_configs: Vec<BlockConfig>,
    hidden_act: String,
    pub(super) attention_bias: AttentionBias,
    pub(super) mlp_bias: bool,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    max_position_embeddings: usize,
    tie_word_embeddings: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 8192,
            num_hidden_layers: 80,
            num_attention_heads: 64,
            rms_norm_eps: 1e-5,
            vocab_size: 128_256,
            block_configs: Vec::new(),
            hidden_act: "silu".into(),
            attention_bias: AttentionBias::None,
            mlp_bias: false,
            rope_theta: 500_000.0,
            rope_scaling: None,
            max_position_embeddings: 131_072,
            tie_word_embeddings: false,
        }
    }
}

/// The blocks of a layer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockConfig {
    pub(super) attention: AttentionBlock,
    pub(super) ffn: MlpBlock,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AttentionBlock {
    pub(super) no_op: bool,
    pub(super) replace_with_linear: bool,
    /// Query heads for each key and value head.
    n_heads_in_group: Option<usize>,
    window_length: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MlpBlock {
    pub(super) no_op: bool,
    pub(super) replace_with_linear: bool,
    ffn_mult: Option<f64>,
}

/// Widths of MLPs are multiples of this.
const WIDTH_MULTIPLE: usize = 256;

impl AttentionBlock {
    pub(super) fn is_attention(&self) -> bool {
        !self.no_op && !self.replace_with_linear
    }
}

impl Config {
    /// A Llama with the sizes of a layer, and `layers` layers of them.
    pub(super) fn llama(&self, layer: usize, layers: usize) -> llama::Config {
        let block = self.block_configs.get(layer).cloned().unwrap_or_default();
        let group = block.attention.n_heads_in_group.unwrap_or(1).max(1);
        // Six decimals and two thirds of the multiple, rounded up.
        let multiplier = (block.ffn.ffn_mult.unwrap_or(0.0) * 1e6).round_ties_even() / 1e6;
        let width = (2.0 * multiplier * self.hidden_size as f64 / 3.0) as usize;
        let mlp = width
            .div_ceil(WIDTH_MULTIPLE)
            .saturating_mul(WIDTH_MULTIPLE);
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        let decoder = DecoderConfig::new(self.vocab_size, hidden, mlp, layers, heads);
        let sizes = decoder.grouped(heads / group, None, self.rms_norm_eps);
        let mut rope = RopeKeys::new(self.rope_theta);
        rope.rope_scaling.clone_from(&self.rope_scaling);
        llama::Config {
            max_position_embeddings: Some(self.max_position_embeddings),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            tie_word_embeddings: self.tie_word_embeddings,
            ..llama::Config::new(sizes, rope)
        }
    }

    /// The layers with attention, in order. Only these have a cache.
    pub(super) fn attention_layers(&self) -> impl Iterator<Item = usize> {
        let blocks = self.block_configs.iter().enumerate();
        blocks.filter_map(|(layer, block)| block.attention.is_attention().then_some(layer))
    }

    pub(super) fn activation(&self) -> Result<Activation, String> {
        match self.hidden_act.as_str() {
            "silu" => Ok(Activation::Silu),
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" => Ok(Activation::GeluTanh),
            other => Err(format!(
                "`hidden_act` `{other}` is not supported; supported: silu, relu, gelu, gelu_new, gelu_fast"
            )),
        }
    }

    /// What the model cannot do.
    pub(super) fn check_blocks(&self) -> Result<(), String> {
        let (layers, blocks) = (self.num_hidden_layers, self.block_configs.len());
        if blocks != layers {
            return Err(format!(
                "`block_configs` has {blocks} entries for {layers} layers"
            ));
        }
        if self.attention_layers().next().is_none() {
            return Err("`block_configs` must have a layer with attention".into());
        }
        let heads = self.num_attention_heads;
        if !self.hidden_size.is_multiple_of(heads) {
            return Err(format!(
                "`hidden_size` ({}) must be a multiple of `num_attention_heads` ({heads})",
                self.hidden_size
            ));
        }
        for (layer, block) in self.block_configs.iter().enumerate() {
            let (attention, ffn) = (&block.attention, &block.ffn);
            let group = attention.n_heads_in_group.unwrap_or(0);
            if attention.is_attention() && (group == 0 || !heads.is_multiple_of(group)) {
                return Err(format!(
                    "`block_configs[{layer}].attention.n_heads_in_group` must divide `num_attention_heads` ({heads})"
                ));
            }
            if attention.is_attention() && attention.window_length.is_some() {
                return Err(format!(
                    "`block_configs[{layer}].attention.window_length` is not supported"
                ));
            }
            let is_mlp = !ffn.no_op && !ffn.replace_with_linear;
            if is_mlp && !ffn.ffn_mult.is_some_and(|multiplier| multiplier > 0.0) {
                return Err(format!(
                    "`block_configs[{layer}].ffn.ffn_mult` must be a positive number"
                ));
            }
        }
        self.activation().map(|_| ())
    }
}
