//! Every architecture on the counting backend: dispatches of a layer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mlxm_engine::checkpoint::{Loader, Quantization, Weights};
use mlxm_engine::forward::{Model, ModelConfig, ModelInput, Step};
use mlxm_engine::models::{read_model_config, supported};
use mlxm_engine::{KvCacheDtype, QuantMode, QuantSpec};
use mlxm_kernels::{Kernels, OpCounts, PassCounts};
use serde_json::{Value, json};

const CONTEXT: usize = 4096;

/// The small configuration of an architecture, with a longer context and windows.
fn config(model_type: &str) -> Value {
    let mut config = mlxm_testmodel::config(model_type);
    let values = match config.get_mut("text_config") {
        Some(text) => text,
        None => &mut config,
    };
    values["max_position_embeddings"] = CONTEXT.into();
    if values.get("sliding_window").is_some_and(Value::is_u64) {
        values["sliding_window"] = json!(64);
    }
    if values.get("num_loops").is_some() {
        // The norm between two loops is not part of a layer.
        values["num_loops"] = json!(1);
    }
    config
}

/// A model whose modules have 4 bits, `v_proj` and `up_proj` as `bits` says.
fn build(
    config: &Value,
    bits: u32,
    kernels: &Kernels,
) -> (Box<dyn ModelConfig>, Box<dyn Model>, Weights) {
    let spec_of = |path: &str| {
        let other = path.ends_with("v_proj") || path.ends_with("up_proj");
        Some(QuantSpec {
            mode: QuantMode::Affine,
            group_size: 32,
            bits: if other { bits } else { 4 },
        })
    };
    let weights = mlxm_testmodel::weights(config, 1, &spec_of);
    let checkpoint = mlxm_testmodel::checkpoint_config(config);
    let (_, model_config) = read_model_config(&checkpoint).unwrap();
    let quantization = Quantization::default();
    let file = checkpoint.file();
    let loader = Loader::new(&weights, &quantization, file, CONTEXT, Some(kernels));
    let model = model_config.load(&loader.root()).unwrap();
    loader.finish(&checkpoint.model_type).unwrap();
    (model_config, model, weights)
}

/// A pass over the last of `len` tokens, and its logits.
fn decode(config: &Value, bits: u32, len: usize) -> PassCounts {
    passes(config, bits, &[1], len).remove(0)
}

/// For each of `rows`, a pass over so many of the last of `len` tokens, and their logits.
fn passes(config: &Value, bits: u32, rows: &[usize], len: usize) -> Vec<PassCounts> {
    let kernels = Kernels::counting();
    let (model_config, model, _) = build(config, bits, &kernels);
    let dtype = KvCacheDtype::F16;
    let (mut cache, mut pool) = mlxm_testmodel::cache(&kernels, &*model_config, CONTEXT, dtype);
    let mut sequence = pool.sequence_without_prefix_caching();
    pool.allocate_slots(&mut sequence, len).unwrap();
    let vocab_size = model_config.dimensions().vocab_size;
    for &rows in rows {
        let mut input = ModelInput::new(pool.groups());
        input.push(&vec![1; rows], len - rows, &sequence);
        let mut step = Step::new(&kernels, &input, &mut cache).unwrap();
        let hidden = model.forward(&mut step).unwrap();
        let logits = model.logits(&hidden, &mut step.pass).unwrap();
        assert_eq!((logits.rows(), logits.width()), (rows, vocab_size));
        step.pass.finish().unwrap();
    }
    kernels.take_counts()
}

/// The operations of the layers: between embeddings and final norm.
fn layer_ops(counts: &PassCounts) -> &[OpCounts] {
    let first = counts.ops.iter().position(|op| op.op == "linear").unwrap();
    let last = counts.ops.iter().rposition(|op| op.op == "norm").unwrap();
    &counts.ops[first..last]
}

/// Dispatches of all layers, and the number of layers.
fn of_layers(model_type: &str, bits: u32, len: usize) -> (usize, usize) {
    let (dispatches, layers) = of_rows(model_type, bits, &[1], len);
    (dispatches[0], layers)
}

/// The same for passes over several numbers of rows.
fn of_rows(model_type: &str, bits: u32, rows: &[usize], len: usize) -> (Vec<usize>, usize) {
    let config = config(model_type);
    let dispatches = passes(&config, bits, rows, len).into_iter().map(|counts| {
        let ops = layer_ops(&counts);
        let dispatches: usize = ops.iter().map(|op| op.dispatches).sum();
        let barriers: usize = ops.iter().map(|op| op.barriers).sum();
        assert!(barriers <= dispatches, "{model_type}");
        dispatches
    });
    let dispatches = dispatches.collect();
    let (_, model_config) = read_model_config(&mlxm_testmodel::checkpoint_config(&config)).unwrap();
    (dispatches, model_config.dimensions().num_hidden_layers)
}

#[test]
fn every_architecture_stays_in_the_budget_of_dispatches() {
    // Norms after the blocks, on both sides of them, and layer norms take two more, and so does an output gate.
    let others = BTreeMap::from([
        ("cohere", 8),
        ("cohere2", 8),
        ("exaone4", 8),
        ("gemma2", 8),
        ("gemma3", 8),
        ("gemma3_text", 8),
        ("glm4", 8),
        ("gpt2", 8),
        ("gpt_bigcode", 8),
        ("gpt_neox", 8),
        ("gptj", 8),
        ("nemotron", 8),
        ("olmo", 8),
        ("olmo2", 8),
        ("olmo3", 8),
        ("phi", 8),
        ("plamo3", 8),
        ("spark2_5", 8),
        ("stablelm", 8),
        ("starcoder2", 8),
    ]);
    // Architectures with the same numbers are in the same row of the table.
    let mut groups: BTreeMap<[String; 2], Vec<&str>> = BTreeMap::new();
    for model_type in supported() {
        let expected = others.get(model_type).copied().unwrap_or(6);
        let (dispatches, layers) = of_rows(model_type, 4, &[1, 40], 40);
        if model_type == "nemotron-nas" {
            // Some of its layers have no attention or no MLP.
            assert!(dispatches[0] < expected * layers, "{dispatches:?}");
        } else {
            assert_eq!(dispatches[0], expected * layers, "{model_type}");
        }
        let of_layer = |dispatches: usize| {
            if dispatches.is_multiple_of(layers) {
                (dispatches / layers).to_string()
            } else {
                format!("{dispatches} in {layers} layers")
            }
        };
        let row = [of_layer(dispatches[0]), of_layer(dispatches[1])];
        groups.entry(row).or_default().push(model_type);
    }
    check_table(&groups);
}

/// The table in docs/metal.md, which `MLXM_UPDATE_DOCS` writes.
fn check_table(groups: &BTreeMap<[String; 2], Vec<&str>>) {
    const BEGIN: &str = "<!-- begin: dispatches of a layer -->\n\n";
    const END: &str = "\n<!-- end: dispatches of a layer -->";
    let mut table = "| decoding | prefill | architectures |\n| ---: | ---: | --- |\n".to_owned();
    for ([decoding, prefill], model_types) in groups {
        let names = model_types.join(", ");
        writeln!(table, "| {decoding} | {prefill} | {names} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metal.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (committed, after) = rest.split_once(END).unwrap();
    if std::env::var_os("MLXM_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(
            committed == table,
            "docs/metal.md is out of date: MLXM_UPDATE_DOCS=1 cargo test -p mlxm-engine --test api budget_of_dispatches"
        );
    }
}

#[test]
fn other_bits_and_long_contexts_take_more_dispatches() {
    // `v_proj` is one format more in the first linear layer, `up_proj` in the MLP.
    let (dispatches, layers) = of_layers("llama", 6, 40);
    assert_eq!(dispatches, 8 * layers);
    // Attention takes two passes.
    let (dispatches, layers) = of_layers("llama", 4, 2000);
    assert_eq!(dispatches, 7 * layers);
    // The layers with a window see few positions.
    let counts = decode(&config("gemma3_text"), 4, 2000);
    let attention: Vec<usize> = layer_ops(&counts)
        .iter()
        .filter(|op| op.op == "attention")
        .map(|op| op.dispatches)
        .collect();
    assert_eq!(attention, [1, 1, 2, 1]);
}

#[test]
fn weights_are_read_once() {
    let config = config("llama");
    let counts = decode(&config, 4, 40);
    let size = |key: &str| usize::try_from(config[key].as_u64().unwrap()).unwrap();
    let (hidden, layers) = (size("hidden_size"), size("num_hidden_layers"));
    let kv_width = hidden / size("num_attention_heads") * size("num_key_value_heads");
    let attention = 2 * hidden * hidden + 2 * kv_width * hidden;
    let mlp = 3 * size("intermediate_size") * hidden;
    let elements = layers * (attention + mlp) + (size("vocab_size") + 1) * hidden;
    let stored = elements / 2;
    let read: usize = counts.ops.iter().map(|op| op.weight_bytes).sum();
    assert_eq!(read, stored);
    let kv = 40 * 2 * kv_width * 2 * layers;
    assert_eq!(counts.ops.iter().map(|op| op.kv_bytes).sum::<usize>(), kv);
}
