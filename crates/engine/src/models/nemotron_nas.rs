//! Nemotron-NAS (Llama-Nemotron 49B to 253B): a Llama whose layers have their own numbers of key and value heads and MLP widths.
//! Attention and MLP of a layer may be replaced by a linear layer, or by nothing.

use mlxm_kernels::{Activation, KernelError, Linear, Pass, Rows};
use mlxm_kvcache::GroupKind;
use serde::Deserialize;

use super::llama;
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions, Model, ModelConfig, Step};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, DecoderModel, Mlp, Residual, RopeScaling,
};

/// `config.json` of a Nemotron-NAS checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    vocab_size: usize,
    block_configs: Vec<BlockConfig>,
    hidden_act: String,
    attention_bias: AttentionBias,
    mlp_bias: bool,
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
struct BlockConfig {
    attention: AttentionBlock,
    ffn: MlpBlock,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AttentionBlock {
    no_op: bool,
    replace_with_linear: bool,
    /// Query heads for each key and value head.
    n_heads_in_group: Option<usize>,
    window_length: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct MlpBlock {
    no_op: bool,
    replace_with_linear: bool,
    ffn_mult: Option<f64>,
}

/// Widths of MLPs are multiples of this.
const WIDTH_MULTIPLE: usize = 256;

impl AttentionBlock {
    fn is_attention(&self) -> bool {
        !self.no_op && !self.replace_with_linear
    }
}

impl Config {
    /// A Llama with the sizes of a layer, and `layers` layers of them.
    fn llama(&self, layer: usize, layers: usize) -> llama::Config {
        let block = self.block_configs.get(layer).cloned().unwrap_or_default();
        let group = block.attention.n_heads_in_group.unwrap_or(1).max(1);
        // Six decimals and two thirds of the multiple, rounded up.
        let multiplier = (block.ffn.ffn_mult.unwrap_or(0.0) * 1e6).round_ties_even() / 1e6;
        let width = (2.0 * multiplier * self.hidden_size as f64 / 3.0) as usize;
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: width
                .div_ceil(WIDTH_MULTIPLE)
                .saturating_mul(WIDTH_MULTIPLE),
            num_hidden_layers: layers,
            num_attention_heads: self.num_attention_heads,
        };
        llama::Config {
            num_key_value_heads: Some(self.num_attention_heads / group),
            max_position_embeddings: Some(self.max_position_embeddings),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            rope_scaling: self.rope_scaling.clone(),
            tie_word_embeddings: self.tie_word_embeddings,
            ..llama::Config::new(decoder, self.rms_norm_eps, self.rope_theta)
        }
    }

    /// The layers with attention, in order. Only these have a cache.
    fn attention_layers(&self) -> impl Iterator<Item = usize> {
        let blocks = self.block_configs.iter().enumerate();
        blocks.filter_map(|(layer, block)| block.attention.is_attention().then_some(layer))
    }

    fn activation(&self) -> Result<Activation, String> {
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

    fn blocks(&self, layer: usize, weights: &Scope<'_>) -> Result<Vec<Block>, LoadError> {
        let (config, llama) = (&self.block_configs[layer], self.llama(layer, 1));
        let linear = |norm: &str, name: &str, bias| {
            let (residual, size) = (llama.norm(norm, weights)?, self.hidden_size);
            let weights = weights.child(name);
            Ok::<_, LoadError>(Block::Linear {
                residual: Residual::pre_norm(residual),
                linear: weights.linear_with_optional_bias("linear", size, size, bias)?,
            })
        };
        let mut blocks = Vec::new();
        if config.attention.is_attention() {
            let cache = self
                .attention_layers()
                .filter(|other| *other < layer)
                .count();
            blocks.push(Block::Attention(llama.attention(cache, weights)?));
        } else if !config.attention.no_op {
            let bias = self.attention_bias != AttentionBias::None;
            blocks.push(linear("input_layernorm", "self_attn", bias)?);
        }
        if config.ffn.no_op {
        } else if config.ffn.replace_with_linear {
            blocks.push(linear("post_attention_layernorm", "mlp", self.mlp_bias)?);
        } else {
            let activation = self
                .activation()
                .map_err(|problem| weights.config_error(problem))?;
            let mlp = llama.mlp(weights)?;
            blocks.push(Block::Mlp(Mlp { activation, ..mlp }));
        }
        Ok(blocks)
    }
}

impl ModelConfig for Config {
    /// Those of the layer with the most key and value heads, and the widest MLP.
    fn dimensions(&self) -> Dimensions {
        let layers = self.num_hidden_layers;
        let of_layer = |layer| DecoderModel::dimensions(&self.llama(layer, layers));
        let all = || (0..self.block_configs.len().max(1)).map(of_layer);
        let heads = self
            .attention_layers()
            .map(|layer| of_layer(layer).attention);
        let widths = all().map(|sizes| sizes.intermediate_size);
        let first = of_layer(0);
        Dimensions {
            intermediate_size: widths.max().unwrap_or(0).max(self.hidden_size),
            attention: heads
                .max_by_key(|dims| dims.kv_heads)
                .unwrap_or(first.attention),
            ..first
        }
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        let dims = |layer| DecoderModel::dimensions(&self.llama(layer, 1)).attention;
        self.attention_layers()
            .map(|layer| CacheLayer::new(GroupKind::Full, dims(layer)))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
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

    fn sanitize(&self, weights: &mut Weights) {
        self.llama(0, 0).sanitize(weights);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let decoder = self.llama(0, 0).decoder(weights)?;
        let scope = weights.child("model").child("layers");
        let blocks =
            (0..self.num_hidden_layers).map(|layer| self.blocks(layer, &scope.child(layer)));
        Ok(Box::new(NemotronNas {
            decoder,
            layers: blocks.collect::<Result<_, LoadError>>()?,
        }))
    }
}

/// A block of a layer, with its norm and residual connection.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one or two per layer, built once and never moved"
)]
enum Block {
    Attention(Attention),
    Mlp(Mlp),
    Linear { residual: Residual, linear: Linear },
}

impl Block {
    fn forward(&self, x: &Rows, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        match self {
            Self::Attention(attention) => attention.forward(x, step),
            Self::Mlp(mlp) => mlp.forward(x, x, &mut step.pass),
            Self::Linear { residual, linear } => residual.add_linear(x, linear, &mut step.pass),
        }
    }
}

/// The model.
#[derive(Debug)]
struct NemotronNas {
    /// Embeddings, final norm and LM head.
    decoder: Decoder,
    /// The blocks of each layer.
    layers: Vec<Vec<Block>>,
}

impl Model for NemotronNas {
    fn forward(&self, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let mut h = self.decoder.embed(step)?;
        for block in self.layers.iter().flatten() {
            h = block.forward(&h, step)?;
        }
        step.pass.norm(&h, &self.decoder.norm)
    }

    fn logits(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        self.decoder.logits(rows, pass)
    }
}
