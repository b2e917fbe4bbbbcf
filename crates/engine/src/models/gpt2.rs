//! GPT-2: as StarCoder with a key and value head per query head. Unconverted checkpoints have transposed weights.

use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::gpt_bigcode;
use crate::checkpoint::{Scope, Weights, parse_fields};
use crate::error::LoadError;
use crate::nn::{Attention, Decoder, DecoderModel, DecoderNames, Mlp, Shape};

/// The modules of a layer that unconverted checkpoints transpose.
const TRANSPOSED: [&str; 4] = ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"];

/// `config.json` of a GPT-2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Config {
    gpt: gpt_bigcode::Config,
}

impl TryFrom<Map<String, Value>> for Config {
    type Error = String;

    fn try_from(mut values: Map<String, Value>) -> Result<Self, Self::Error> {
        let hidden_size = values.get("n_embd").and_then(Value::as_u64);
        let intermediate_size = hidden_size.unwrap_or_default().saturating_mul(4);
        values.insert("n_inner".into(), intermediate_size.into());
        values.insert("multi_query".into(), false.into());
        for key in ["attention_bias", "mlp_bias", "tie_word_embeddings"] {
            values.insert(key.into(), true.into());
        }
        let mut gpt: gpt_bigcode::Config = parse_fields(&values)?;
        gpt.variant = gpt_bigcode::Variant {
            model: "model",
            activation: Activation::GeluTanh,
        };
        Ok(Self { gpt })
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.gpt.shape()
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        self.gpt.size_key(name)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        self.gpt.attention(layer, weights)
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        self.gpt.mlp(weights)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        self.gpt.tie_word_embeddings()
    }

    fn names(&self) -> DecoderNames {
        self.gpt.names()
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        self.gpt.decoder(weights)
    }

    /// Drops masks. Names that do not begin with `model` are those of an unconverted checkpoint.
    fn rename_tensors(&self, weights: &mut Weights) {
        let mut transposed = Vec::new();
        weights.rename(|name| {
            if name.starts_with("model.") {
                return Some(name.to_owned());
            }
            if name.starts_with("lm_head.") {
                return None;
            }
            let name = name.strip_prefix("transformer.").unwrap_or(name);
            let renamed = format!("model.{name}");
            let module = name.splitn(3, '.').nth(2).unwrap_or_default();
            if module == "attn.bias" || module == "attn.masked_bias" {
                return None;
            }
            if TRANSPOSED
                .iter()
                .any(|path| module.strip_prefix(path) == Some(".weight"))
            {
                transposed.push(renamed.clone());
            }
            Some(renamed)
        });
        for name in transposed {
            weights.transpose(&name);
        }
    }
}
