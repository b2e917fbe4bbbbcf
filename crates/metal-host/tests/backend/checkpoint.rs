//! Random checkpoints, and passes of their models.

use mlxm_engine::checkpoint::{Loader, Quantization, Weights};
use mlxm_engine::forward::{CachePool, Model, ModelConfig, ModelInput, Step};
use mlxm_engine::models::read_model_config;
use mlxm_engine::{KvCacheDtype, QuantMode, QuantSpec};
use mlxm_kernels::{Kernels, Rows};
use mlxm_kvcache::{BlockPool, SequenceCache};
use serde_json::{Value, json};

use crate::bounds;

const CONTEXT: usize = 128;

/// A checkpoint.
pub struct Checkpoint {
    pub config: Value,
    weights: Weights,
}

impl Checkpoint {
    /// Weights with `bits`, of which the second are for `v_proj` and `up_proj`; 16 is dense.
    pub fn new(config: Value, bits: [u32; 2], group_size: usize) -> Self {
        let spec_of = |path: &str| {
            let other = path.ends_with("v_proj") || path.ends_with("up_proj");
            let bits = bits[usize::from(other)];
            (bits < 16).then_some(QuantSpec {
                mode: QuantMode::Affine,
                group_size,
                bits,
            })
        };
        let weights = mlxm_testmodel::weights(&config, 3, &spec_of);
        Self { config, weights }
    }

    /// Two layers of a width at which more than one SIMD group reads a row.
    pub fn wide(
        model_type: &str,
        settings: &[(&str, usize)],
        bits: [u32; 2],
        group: usize,
    ) -> Self {
        let mut config = mlxm_testmodel::config(model_type);
        for (key, value) in [
            ("hidden_size", 512),
            ("intermediate_size", 640),
            ("num_hidden_layers", 2),
        ] {
            config[key] = value.into();
        }
        for (key, value) in settings {
            config[*key] = json!(value);
        }
        Self::new(config, bits, group)
    }

    /// How far logits may be from the exact ones, relative to their range.
    pub fn logits_bound(&self) -> f32 {
        let config = mlxm_testmodel::checkpoint_config(&self.config);
        let (architecture, model_config) = read_model_config(&config).unwrap();
        let sizes = model_config.dimensions();
        let width = sizes.hidden_size.max(sizes.intermediate_size);
        bounds::logits(architecture, sizes.num_hidden_layers, width)
    }

    /// Bytes of all matrices: values, scales and quantization biases.
    pub fn matrix_bytes(&self) -> usize {
        let matrices = self.weights.iter().filter(|(name, tensor)| {
            // Norms of rank 2 have weights for each head.
            tensor.shape.len() == 2 && !name.contains("norm")
        });
        matrices.map(|(_, tensor)| tensor.bytes.len()).sum()
    }

    /// The model on `kernels`.
    fn build(&self, kernels: &Kernels) -> (Box<dyn ModelConfig>, Box<dyn Model>) {
        let config = mlxm_testmodel::checkpoint_config(&self.config);
        let (_, model_config) = read_model_config(&config).unwrap();
        let quantization = Quantization::default();
        let file = config.file();
        let loader = Loader::new(&self.weights, &quantization, file, CONTEXT, Some(kernels));
        let model = model_config.load(&loader.root()).unwrap();
        loader.finish(&config.model_type).unwrap();
        (model_config, model)
    }
}

/// A model with a cache and two sequences.
pub struct Runner<'a> {
    kernels: &'a Kernels,
    model: Box<dyn Model>,
    cache: CachePool,
    pool: BlockPool,
    sequences: [SequenceCache; 2],
    lengths: [usize; 2],
}

impl<'a> Runner<'a> {
    pub fn new(checkpoint: &Checkpoint, kernels: &'a Kernels, dtype: KvCacheDtype) -> Self {
        let (model_config, model) = checkpoint.build(kernels);
        let (cache, pool) = mlxm_testmodel::cache(kernels, &*model_config, 2 * CONTEXT, dtype);
        let sequences = [0; 2].map(|_| pool.sequence_without_prefix_caching());
        Self {
            kernels,
            model,
            cache,
            pool,
            sequences,
            lengths: [0; 2],
        }
    }

    /// The logits of the next tokens of both sequences.
    pub fn step(&mut self, tokens: [&[u32]; 2]) -> Vec<f32> {
        let logits = self.logits(tokens);
        self.kernels.read(&logits).unwrap()
    }

    pub fn logits(&mut self, tokens: [&[u32]; 2]) -> Rows {
        let mut input = ModelInput::new(self.pool.groups());
        for (index, tokens) in tokens.iter().enumerate() {
            if tokens.is_empty() {
                continue;
            }
            let (sequence, start) = (&mut self.sequences[index], self.lengths[index]);
            self.pool
                .allocate_slots(sequence, start + tokens.len())
                .unwrap();
            input.push(tokens, start, sequence);
            self.lengths[index] += tokens.len();
        }
        let mut step = Step::new(self.kernels, &input, &mut self.cache).unwrap();
        let hidden = self.model.forward(&mut step).unwrap();
        let logits = self.model.logits(&hidden, &mut step.pass).unwrap();
        step.pass.finish().unwrap();
        logits
    }
}
