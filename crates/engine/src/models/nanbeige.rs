//! Nanbeige: the layers of a Llama, passed several times. Each pass has a KV cache of its own.

use mlxm_kernels::{KernelError, Pass, Rows};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::llama;
use crate::checkpoint::{Scope, Weights, parse_fields};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions, Model, ModelConfig, Step};
use crate::nn::{Decoder, DecoderModel, Layer};

/// The caches of all loops are planned before the weights are loaded.
const MAX_LOOPS: usize = 64;

/// `config.json` of a Nanbeige checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Config {
    llama: llama::Config,
    loops: LoopFields,
}

/// What Llama does not have.
#[derive(Debug, Clone, Deserialize)]
struct LoopFields {
    #[serde(default = "default_num_loops")]
    num_loops: usize,
    /// Weights of the losses of the loops but one, if there are any. Takes precedence over `num_loops`.
    #[serde(default)]
    loop_loss_weights: Vec<f64>,
    #[serde(default)]
    skip_loop_final_norm: bool,
    #[serde(default)]
    enable_double_loop_split: bool,
    #[serde(default)]
    loop_share_kv: bool,
    #[serde(default)]
    enable_depth_attention: bool,
}

fn default_num_loops() -> usize {
    1
}

impl TryFrom<Map<String, Value>> for Config {
    type Error = String;

    fn try_from(mut values: Map<String, Value>) -> Result<Self, Self::Error> {
        let loops = parse_fields(&values)?;
        // The default differs, and there are options that only Llama has.
        values.entry("tie_word_embeddings").or_insert(false.into());
        for key in ["rope_traditional", "layer_types", "sliding_window"] {
            values.remove(key);
        }
        Ok(Self {
            llama: parse_fields(&values)?,
            loops,
        })
    }
}

impl Config {
    fn num_loops(&self) -> usize {
        match self.loops.loop_loss_weights.len() {
            0 => self.loops.num_loops,
            others => others + 1,
        }
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        ModelConfig::dimensions(&self.llama)
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        self.llama.cache_layers().repeat(self.num_loops())
    }

    fn check(&self) -> Result<(), String> {
        for (key, enabled) in [
            (
                "enable_double_loop_split",
                self.loops.enable_double_loop_split,
            ),
            ("loop_share_kv", self.loops.loop_share_kv),
            ("enable_depth_attention", self.loops.enable_depth_attention),
        ] {
            if enabled {
                return Err(format!("`{key}` is not supported"));
            }
        }
        if !(1..=MAX_LOOPS).contains(&self.num_loops()) {
            return Err(format!(
                "`num_loops`, or the length of `loop_loss_weights` and one, must be 1 to {MAX_LOOPS}, not {}",
                self.num_loops()
            ));
        }
        ModelConfig::check(&self.llama)
    }

    fn sanitize(&self, weights: &mut Weights) {
        self.llama.sanitize(weights);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let mut decoder = self.llama.decoder(weights)?;
        let layers = std::mem::take(&mut decoder.layers);
        let of_loop = |index: usize| {
            let mut copies = layers.clone();
            for layer in &mut copies {
                layer.self_attn.config.layer += index * layers.len();
            }
            copies
        };
        Ok(Box::new(Nanbeige {
            loops: (0..self.num_loops()).map(of_loop).collect(),
            norm_after_each_loop: !self.loops.skip_loop_final_norm,
            decoder,
        }))
    }
}

/// The model.
#[derive(Debug)]
struct Nanbeige {
    /// Embeddings, final norm and LM head.
    decoder: Decoder,
    /// The layers of each loop. Their weights are the same, their caches are not.
    loops: Vec<Vec<Layer>>,
    norm_after_each_loop: bool,
}

impl Model for Nanbeige {
    fn forward(&self, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let mut h = self.decoder.embed(step)?;
        for (index, layers) in self.loops.iter().enumerate() {
            for layer in layers {
                h = layer.forward(&h, step)?;
            }
            if self.norm_after_each_loop || index + 1 == self.loops.len() {
                h = step.pass.norm(&h, &self.decoder.norm)?;
            }
        }
        Ok(h)
    }

    fn logits(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        self.decoder.logits(rows, pass)
    }
}
