//! Nemotron-NAS (Llama-Nemotron 49B to 253B): a Llama whose layers have their own numbers of key and value heads and MLP widths.
//! Attention and MLP of a layer may be replaced by a linear layer, or by nothing.

mod config;

use mlxm_kernels::{KernelError, Linear, Pass, Rows};
use mlxm_kvcache::GroupKind;

pub use config::Config;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions, Model, ModelConfig, Step};
use crate::nn::{Attention, AttentionBias, Decoder, DecoderModel, Mlp, Residual};

impl Config {
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
        self.check_blocks()
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
