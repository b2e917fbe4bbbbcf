//! Random checkpoints of every architecture: logits on the Metal backend are those of the CPU.

use crate::device::{cpu, device};
use crate::noise::Noise;
use mlxm_engine::checkpoint::{Loader, Quantization, Weights};
use mlxm_engine::forward::{CacheGroupPlan, CachePool, Model, ModelConfig, ModelInput, Step};
use mlxm_engine::models::{read_model_config, supported};
use mlxm_engine::{BLOCK_SIZE, KvCacheDtype, QuantMode, QuantSpec};
use mlxm_kernels::{KernelError, Kernels, Rows};
use mlxm_kvcache::{BlockPool, GroupConfig, PoolConfig, SequenceCache};
use mlxm_metal_host::{Options, Order};
use serde_json::{Value, json};

/// Largest deviation relative to the range of the logits.
const TOLERANCE: f32 = 1e-4;
const CONTEXT: usize = 128;

/// A checkpoint.
struct Checkpoint {
    config: Value,
    weights: Weights,
}

impl Checkpoint {
    /// Weights with `bits`, of which the second are for `v_proj` and `up_proj`; 16 is dense.
    fn new(config: Value, bits: [u32; 2], group_size: usize) -> Self {
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
    fn wide(model_type: &str, settings: &[(&str, usize)], bits: [u32; 2], group: usize) -> Self {
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
struct Runner<'a> {
    kernels: &'a Kernels,
    model: Box<dyn Model>,
    cache: CachePool,
    pool: BlockPool,
    sequences: [SequenceCache; 2],
    lengths: [usize; 2],
}

impl<'a> Runner<'a> {
    fn new(checkpoint: &Checkpoint, kernels: &'a Kernels, dtype: KvCacheDtype) -> Self {
        let (model_config, model) = checkpoint.build(kernels);
        let layers = model_config.cache_layers();
        let mut groups: Vec<CacheGroupPlan> = Vec::new();
        for layer in &layers {
            if groups.iter().all(|group| group.kind != layer.kind) {
                groups.push(CacheGroupPlan {
                    kind: layer.kind,
                    layers: 1,
                    blocks: 2 * CONTEXT / BLOCK_SIZE,
                    block_bytes: 0,
                });
            }
        }
        let cache = CachePool::new(kernels, &layers, &groups, BLOCK_SIZE, dtype).unwrap();
        let configs = groups.iter().map(|group| GroupConfig {
            kind: group.kind,
            blocks: group.blocks,
        });
        let pool = BlockPool::new(PoolConfig {
            block_size: BLOCK_SIZE,
            groups: configs.collect(),
        })
        .unwrap();
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
    fn step(&mut self, tokens: [&[u32]; 2]) -> Vec<f32> {
        let logits = self.logits(tokens);
        self.kernels.read(&logits).unwrap()
    }

    fn logits(&mut self, tokens: [&[u32]; 2]) -> Rows {
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

#[track_caller]
fn compare(checkpoint: &Checkpoint, dtype: KvCacheDtype, order: Order) {
    let cpu = cpu();
    let metal = Kernels::on_device(device(order, Options::default()));
    let mut noise = Noise::new(2);
    // Every vocabulary has these tokens.
    let tokens: Vec<u32> = (0..100).map(|_| noise.bits() % 256).collect();
    // A prompt, decoding, both in one pass, a few rows of each, and decoding of both.
    let steps: [[&[u32]; 2]; 6] = [
        [&tokens[..37], &[]],
        [&tokens[40..41], &[]],
        [&tokens[41..42], &tokens[50..69]],
        [&tokens[42..44], &tokens[69..71]],
        [&tokens[44..45], &tokens[71..72]],
        [&tokens[45..46], &tokens[72..78]],
    ];
    // All kernels are one library, as when a model is loaded.
    let compiled = metal.compile(|| {
        let mut planned = Runner::new(checkpoint, &metal, dtype);
        for step in steps {
            planned.logits(step);
        }
        Ok::<(), KernelError>(())
    });
    compiled.unwrap_or_else(|error| panic!("{}: {error}", checkpoint.config));
    let mut expected = Runner::new(checkpoint, &cpu, dtype);
    let mut actual = Runner::new(checkpoint, &metal, dtype);
    for (index, step) in steps.into_iter().enumerate() {
        let (expected, actual) = (expected.step(step), actual.step(step));
        assert_eq!(actual.len(), expected.len());
        let highest = expected.iter().copied().fold(f32::MIN, f32::max);
        let lowest = expected.iter().copied().fold(f32::MAX, f32::min);
        for (index_of, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let deviation = (actual - expected).abs() / (highest - lowest);
            assert!(
                deviation <= TOLERANCE,
                "{}, step {index}, logit {index_of}: {actual} instead of {expected}",
                checkpoint.config
            );
        }
    }
}

/// One of four parts of the architectures, which run at the same time.
fn compare_architectures(part: usize) {
    for (index, model_type) in supported().into_iter().enumerate() {
        if index % 4 == part {
            let checkpoint = Checkpoint::new(mlxm_testmodel::config(model_type), [4, 4], 32);
            compare(&checkpoint, KvCacheDtype::F32, Order::Random(index as u64));
        }
    }
}

#[test]
fn architectures_of_the_first_part_have_the_logits_of_the_cpu() {
    compare_architectures(0);
}

#[test]
fn architectures_of_the_second_part_have_the_logits_of_the_cpu() {
    compare_architectures(1);
}

#[test]
fn architectures_of_the_third_part_have_the_logits_of_the_cpu() {
    compare_architectures(2);
}

#[test]
fn architectures_of_the_fourth_part_have_the_logits_of_the_cpu() {
    compare_architectures(3);
}

#[test]
fn every_head_width_has_the_logits_of_the_cpu() {
    for (head_dim, heads, kv_heads) in [(80, 4, 4), (96, 3, 1), (128, 4, 1), (256, 2, 1)] {
        let settings = [
            ("head_dim", head_dim),
            ("num_attention_heads", heads),
            ("num_key_value_heads", kv_heads),
        ];
        let checkpoint = Checkpoint::wide("llama", &settings, [4, 4], 64);
        compare(&checkpoint, KvCacheDtype::F32, Order::Reverse);
    }
}

#[test]
fn model_of_width_1024_has_the_logits_of_the_cpu() {
    let settings = [
        ("hidden_size", 1024),
        ("head_dim", 128),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 2),
    ];
    let checkpoint = Checkpoint::wide("qwen3", &settings, [4, 6], 128);
    compare(&checkpoint, KvCacheDtype::F32, Order::Random(20));
}

#[test]
fn every_format_has_the_logits_of_the_cpu() {
    for (bits, group_size) in [
        ([16, 16], 64),
        ([4, 6], 32),
        ([8, 8], 128),
        ([3, 5], 64),
        ([2, 16], 128),
    ] {
        let checkpoint = Checkpoint::wide("qwen3", &[], bits, group_size);
        compare(&checkpoint, KvCacheDtype::F32, Order::Forward);
    }
}
