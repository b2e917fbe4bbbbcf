//! Every architecture on the counting backend: dispatches of a layer.

use std::collections::BTreeMap;

use mlxm_engine::checkpoint::{CheckpointConfig, Loader, Quantization, RawTensor, Weights};
use mlxm_engine::forward::{CacheGroupPlan, CachePool, Model, ModelConfig, ModelInput, Step};
use mlxm_engine::models::{read_model_config, supported};
use mlxm_engine::{BLOCK_SIZE, KvCacheDtype, LoadError};
use mlxm_kernels::{Bytes, Kernels, OpCounts, PassCounts};
use mlxm_kvcache::{BlockPool, GroupConfig, PoolConfig};
use safetensors::Dtype;
use serde_json::{Value, json};

const HIDDEN: usize = 64;
const HEAD_DIM: usize = 32;
const HEADS: usize = 2;
const KV_HEADS: usize = 1;
const INTERMEDIATE: usize = 128;
const VOCAB: usize = 96;
const LAYERS: usize = 4;
const CONTEXT: usize = 4096;

/// The settings of all architectures together; each reads its own.
fn config(model_type: &str) -> CheckpointConfig {
    let mut values = json!({
        "model_type": model_type,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "norm_epsilon": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": false,
        "attention_bias": false,
        "mlp_bias": false,
        "embedding_multiplier": 2.0,
        "attention_multiplier": 0.5,
        "residual_multiplier": 0.5,
        "logits_scaling": 2.0,
        "sliding_window": 64,
        "sliding_window_pattern": 2,
    });
    if model_type == "gemma3" {
        let mut text = values.clone();
        text["model_type"] = "gemma3_text".into();
        values["text_config"] = text;
    }
    let Value::Object(values) = values else {
        unreachable!("an object")
    };
    CheckpointConfig {
        folder: "model".into(),
        values,
        generation: serde_json::Map::new(),
        model_type: model_type.into(),
    }
}

/// Outputs and inputs of a module.
fn shape(module: &str) -> (usize, usize) {
    let (q, kv) = (HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM);
    match module {
        "embed_tokens" | "lm_head" => (VOCAB, HIDDEN),
        "q_proj" => (q, HIDDEN),
        "k_proj" | "v_proj" => (kv, HIDDEN),
        "qkv_proj" => (q + 2 * kv, HIDDEN),
        "o_proj" => (HIDDEN, q),
        "gate_proj" | "up_proj" | "c_fc" => (INTERMEDIATE, HIDDEN),
        "gate_up_proj" => (2 * INTERMEDIATE, HIDDEN),
        "down_proj" | "c_proj" => (HIDDEN, INTERMEDIATE),
        other => panic!("a module called {other}"),
    }
}

fn zeros(dtype: Dtype, shape: &[usize], element_bytes: usize) -> RawTensor {
    RawTensor {
        dtype,
        shape: shape.to_vec(),
        bytes: Bytes::owned(vec![0; shape.iter().product::<usize>() * element_bytes]),
    }
}

/// Adds the tensors of `name`. Modules have 4 bits, `v_proj` and `up_proj` as `bits` says.
fn add(weights: &mut Weights, model_type: &str, name: &str, bits: usize) {
    let parts: Vec<&str> = name.split('.').collect();
    let (module, kind) = (parts[parts.len() - 2], parts[parts.len() - 1]);
    if module.contains("norm") {
        let len = match module {
            "q_norm" if model_type == "olmo2" => HEADS * HEAD_DIM,
            "k_norm" if model_type == "olmo2" => KV_HEADS * HEAD_DIM,
            "q_norm" | "k_norm" => HEAD_DIM,
            _ => HIDDEN,
        };
        weights.insert(name.into(), zeros(Dtype::F32, &[len], 4));
        return;
    }
    let (outputs, inputs) = shape(module);
    if kind == "bias" {
        weights.insert(name.into(), zeros(Dtype::F32, &[outputs], 4));
        return;
    }
    let bits = match module {
        "v_proj" | "up_proj" => bits,
        _ => 4,
    };
    let path = name.trim_end_matches(".weight");
    weights.insert(
        name.into(),
        zeros(Dtype::U32, &[outputs, inputs * bits / 32], 4),
    );
    for part in ["scales", "biases"] {
        let scales = zeros(Dtype::BF16, &[outputs, inputs / 32], 2);
        weights.insert(format!("{path}.{part}"), scales);
    }
}

/// A model with zeros for every tensor that it asks for.
fn build(
    model_type: &str,
    bits: usize,
    kernels: &Kernels,
) -> (Box<dyn ModelConfig>, Box<dyn Model>) {
    let config = config(model_type);
    let (_, model_config) = read_model_config(&config).unwrap();
    let quantization = Quantization::default();
    let mut weights = Weights::default();
    for _ in 0..3 {
        let loader = Loader::new(
            &weights,
            &quantization,
            config.file(),
            CONTEXT,
            Some(kernels),
        );
        let model = model_config.load(&loader.root()).unwrap();
        match loader.finish(model_type) {
            Ok(_) => return (model_config, model),
            Err(LoadError::MissingTensors { names, .. }) => {
                for name in names {
                    add(&mut weights, model_type, &name, bits);
                }
            }
            Err(error) => panic!("{model_type}: {error}"),
        }
    }
    panic!("{model_type} asks for more tensors each time");
}

/// A pass over the last of `len` tokens, and its logits.
fn decode(model_type: &str, bits: usize, len: usize) -> PassCounts {
    let kernels = Kernels::counting();
    let (model_config, model) = build(model_type, bits, &kernels);
    let layers = model_config.cache_layers();
    let mut groups: Vec<CacheGroupPlan> = Vec::new();
    for layer in &layers {
        if groups.iter().all(|group| group.kind != layer.kind) {
            groups.push(CacheGroupPlan {
                kind: layer.kind,
                layers: 1,
                blocks: CONTEXT / BLOCK_SIZE,
                block_bytes: 0,
            });
        }
    }
    let dtype = KvCacheDtype::F16;
    let mut cache = CachePool::new(&kernels, &layers, &groups, BLOCK_SIZE, dtype).unwrap();
    let configs = groups.iter().map(|group| GroupConfig {
        kind: group.kind,
        blocks: group.blocks,
    });
    let mut pool = BlockPool::new(PoolConfig {
        block_size: BLOCK_SIZE,
        groups: configs.collect(),
    })
    .unwrap();
    let mut sequence = pool.sequence_without_prefix_caching();
    pool.allocate_slots(&mut sequence, len).unwrap();
    let mut input = ModelInput::new(groups.len());
    input.push(&[1], len - 1, &sequence);
    let mut step = Step::new(&kernels, &input, &mut cache).unwrap();
    let hidden = model.forward(&mut step).unwrap();
    let logits = model.logits(&hidden, &mut step.pass).unwrap();
    assert_eq!((logits.rows(), logits.width()), (1, VOCAB));
    step.pass.finish().unwrap();
    kernels.take_counts().remove(0)
}

/// The operations of the layers: between embeddings and final norm.
fn layer_ops(counts: &PassCounts) -> &[OpCounts] {
    let first = counts.ops.iter().position(|op| op.op == "linear").unwrap();
    let last = counts.ops.iter().rposition(|op| op.op == "norm").unwrap();
    &counts.ops[first..last]
}

fn per_layer(model_type: &str, bits: usize, len: usize) -> usize {
    let counts = decode(model_type, bits, len);
    let ops = layer_ops(&counts);
    let dispatches: usize = ops.iter().map(|op| op.dispatches).sum();
    let barriers: usize = ops.iter().map(|op| op.barriers).sum();
    assert!(barriers <= dispatches, "{model_type}");
    assert_eq!(dispatches % LAYERS, 0, "{model_type}");
    dispatches / LAYERS
}

#[test]
fn every_architecture_runs_on_the_counting_backend() {
    // Norms after the blocks, on both sides of them, and layer norms take two more.
    let others = BTreeMap::from([
        ("gemma2", 8),
        ("gemma3", 8),
        ("gemma3_text", 8),
        ("olmo2", 8),
        ("starcoder2", 8),
    ]);
    for model_type in supported() {
        let expected = others.get(model_type).copied().unwrap_or(6);
        assert_eq!(per_layer(model_type, 4, 40), expected, "{model_type}");
    }
}

#[test]
fn other_bits_and_long_contexts_take_more_dispatches() {
    // `v_proj` is one format more in the first linear layer, `up_proj` in the MLP.
    assert_eq!(per_layer("llama", 6, 40), 8);
    // Attention takes two passes.
    assert_eq!(per_layer("llama", 4, 2000), 7);
    // The layers with a window see few positions.
    let counts = decode("gemma3_text", 4, 2000);
    let attention: Vec<usize> = layer_ops(&counts)
        .iter()
        .filter(|op| op.op == "attention")
        .map(|op| op.dispatches)
        .collect();
    assert_eq!(attention, [1, 2, 1, 2]);
}

#[test]
fn weights_are_read_once() {
    let counts = decode("llama", 4, 40);
    let linear = HEADS * HEAD_DIM * HIDDEN * 2 + 2 * KV_HEADS * HEAD_DIM * HIDDEN;
    let mlp = 3 * INTERMEDIATE * HIDDEN;
    let stored = (LAYERS * (linear + mlp) + VOCAB * HIDDEN + HIDDEN) / 2;
    let read: usize = counts.ops.iter().map(|op| op.weight_bytes).sum();
    assert_eq!(read, stored);
    let kv = 40 * 2 * KV_HEADS * HEAD_DIM * 2 * LAYERS;
    assert_eq!(counts.ops.iter().map(|op| op.kv_bytes).sum::<usize>(), kv);
}
