//! OpenELM: a Llama whose layers have their own numbers of heads and MLP widths, with norms on the heads of queries and keys.

use mlxm_kernels::QkNorms;
use mlxm_kvcache::GroupKind;
use serde::Deserialize;

use super::{defaults, llama};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions, Model, ModelConfig};
use crate::nn::{
    AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Layer, LayerNames, MlpInputNames,
    MlpNames, RopeKeys,
};

/// `config.json` of an OpenELM checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    head_dim: usize,
    num_transformer_layers: usize,
    model_dim: usize,
    vocab_size: usize,
    ffn_dim_divisor: usize,
    num_query_heads: Vec<usize>,
    num_kv_heads: Vec<usize>,
    ffn_multipliers: Vec<f64>,
    #[serde(default = "default_flag")]
    ffn_with_glu: bool,
    #[serde(default = "default_flag")]
    normalize_qk_projections: bool,
    #[serde(default = "default_flag")]
    share_input_output_layers: bool,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "defaults::rope_theta")]
    rope_freq_constant: f64,
    max_context_length: Option<usize>,
}

fn default_flag() -> bool {
    true
}

fn default_rms_norm_eps() -> f64 {
    1e-6
}

const NAMES: llama::Names = llama::Names {
    decoder: DecoderNames {
        model: "transformer",
        embed_tokens: "token_embeddings",
        layers: "layers",
        norm: "norm",
        lm_head: "lm_head",
    },
    layer: LayerNames {
        input_norm: "attn_norm",
        attention: "attn",
        attention_projections: AttentionNames::fused("qkv_proj", "out_proj"),
        post_attention_norm: "ffn_norm",
        mlp: "ffn",
        mlp_projections: MlpNames {
            input: MlpInputNames::FusedGated("proj_1"),
            down: "proj_2",
        },
    },
    size_keys: &[],
};

impl Config {
    /// Width of the MLP of a layer: a multiple of the divisor close to that of the multiplier, but not more than 10% below.
    fn intermediate_size(&self, layer: usize) -> usize {
        let multiplier = self.ffn_multipliers.get(layer).copied().unwrap_or(0.0);
        let (width, divisor) = (
            multiplier * self.model_dim as f64,
            self.ffn_dim_divisor.max(1),
        );
        let nearest = (width + divisor as f64 / 2.0) as usize / divisor;
        let rounded = nearest.max(1).saturating_mul(divisor);
        if (rounded as f64) < 0.9 * width {
            rounded.saturating_add(divisor)
        } else {
            rounded
        }
    }

    /// A Llama with the sizes of a layer, and `layers` layers of them.
    fn llama(&self, layer: usize, layers: usize) -> llama::Config {
        let heads = |list: &[usize]| list.get(layer).copied().unwrap_or(1);
        let (width, mlp) = (self.model_dim, self.intermediate_size(layer));
        let query_heads = heads(&self.num_query_heads);
        let decoder = DecoderConfig::new(self.vocab_size, width, mlp, layers, query_heads);
        let kv_heads = heads(&self.num_kv_heads);
        let sizes = decoder.grouped(kv_heads, self.head_dim, self.rms_norm_eps);
        let rope = RopeKeys::new(self.rope_freq_constant);
        llama::Config {
            max_position_embeddings: self.max_context_length,
            tie_word_embeddings: self.share_input_output_layers,
            names: NAMES,
            ..llama::Config::new(sizes, rope)
        }
    }

    fn layer(&self, layer: usize, weights: &Scope<'_>) -> Result<Layer, LoadError> {
        let llama = self.llama(layer, 1);
        let mut self_attn = llama.attention(layer, weights)?;
        if self.normalize_qk_projections {
            let weights = weights.child(NAMES.layer.attention);
            self_attn = self_attn.with_qk_norms(QkNorms {
                q: weights.rms_norm("q_norm", self.head_dim, self.rms_norm_eps)?,
                k: weights.rms_norm("k_norm", self.head_dim, self.rms_norm_eps)?,
            });
        }
        Ok(Layer {
            self_attn,
            mlp: llama.mlp(weights)?,
            parallel_residual: false,
        })
    }
}

impl ModelConfig for Config {
    /// Those of the layer with the most heads, and the widest MLP.
    fn dimensions(&self) -> Dimensions {
        let layers = 0..self.num_query_heads.len().max(1);
        let sizes = layers
            .map(|layer| DecoderModel::dimensions(&self.llama(layer, self.num_transformer_layers)));
        let wider = |a: Dimensions, b: Dimensions| Dimensions {
            intermediate_size: a.intermediate_size.max(b.intermediate_size),
            attention: if b.attention.heads > a.attention.heads {
                b.attention
            } else {
                a.attention
            },
            ..a
        };
        let first = DecoderModel::dimensions(&self.llama(0, self.num_transformer_layers));
        sizes.fold(first, wider)
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        let dims = |layer| DecoderModel::dimensions(&self.llama(layer, 1)).attention;
        let layers = 0..self.num_transformer_layers;
        layers
            .map(|layer| CacheLayer::new(GroupKind::Full, dims(layer)))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        let layers = self.num_transformer_layers;
        for (key, len) in [
            ("num_query_heads", self.num_query_heads.len()),
            ("num_kv_heads", self.num_kv_heads.len()),
            ("ffn_multipliers", self.ffn_multipliers.len()),
        ] {
            if len != layers {
                return Err(format!("`{key}` has {len} entries for {layers} layers"));
            }
        }
        if self.ffn_dim_divisor == 0 {
            return Err("`ffn_dim_divisor` must be positive".into());
        }
        if !self.ffn_with_glu {
            return Err("`ffn_with_glu` false is not supported".into());
        }
        (0..layers).try_for_each(|layer| {
            let llama = self.llama(layer, layers);
            let sizes = (&llama as &dyn ModelConfig).check_dimensions();
            sizes.map_err(|problem| format!("in layer {layer} of `num_query_heads`, {problem}"))
        })
    }

    fn sanitize(&self, weights: &mut Weights) {
        self.llama(0, 0).sanitize(weights);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let mut decoder = self.llama(0, 0).decoder(weights)?;
        let scope = weights
            .child(NAMES.decoder.model)
            .child(NAMES.decoder.layers);
        let layers = 0..self.num_transformer_layers;
        decoder.layers = layers
            .map(|layer| self.layer(layer, &scope.child(layer)))
            .collect::<Result<_, LoadError>>()?;
        Ok(Box::new(decoder))
    }
}
