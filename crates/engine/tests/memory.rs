//! Resident memory of a loaded model. The only test in its binary, because it measures the process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::path::Path;

use mlxm_engine::{Engine, LoadOptions, Request};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

const HIDDEN: usize = 1024;
const LAYERS: usize = 12;
const VOCABULARY: usize = 16_384;

/// Writes a 4-bit checkpoint of about 130 MB, so that a copy of the weights would exceed the tolerance.
fn write_checkpoint(folder: &Path) {
    let mut shapes = vec![("model.embed_tokens".to_owned(), VOCABULARY, HIDDEN)];
    let mut norms = vec!["model.norm.weight".to_owned()];
    for layer in 0..LAYERS {
        let path = format!("model.layers.{layer}");
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            shapes.push((format!("{path}.self_attn.{name}"), HIDDEN, HIDDEN));
        }
        for (name, outputs, inputs) in [
            ("gate_proj", 4 * HIDDEN, HIDDEN),
            ("up_proj", 4 * HIDDEN, HIDDEN),
            ("down_proj", HIDDEN, 4 * HIDDEN),
        ] {
            shapes.push((format!("{path}.mlp.{name}"), outputs, inputs));
        }
        norms.push(format!("{path}.input_layernorm.weight"));
        norms.push(format!("{path}.post_attention_layernorm.weight"));
    }
    let largest = VOCABULARY.max(4 * HIDDEN) * HIDDEN;
    let packed = vec![0x5a_u8; largest / 2];
    let halves: Vec<u8> = half_bytes(0x0c00, largest / 64);
    let ones: Vec<u8> = half_bytes(0x3c00, HIDDEN);
    let mut views: Vec<(String, TensorView<'_>)> = Vec::new();
    for (path, outputs, inputs) in &shapes {
        let (words, groups) = (inputs / 8, inputs / 64);
        let weight = TensorView::new(
            Dtype::U32,
            vec![*outputs, words],
            &packed[..outputs * inputs / 2],
        )
        .unwrap();
        let scales = TensorView::new(
            Dtype::F16,
            vec![*outputs, groups],
            &halves[..outputs * groups * 2],
        )
        .unwrap();
        views.push((format!("{path}.weight"), weight));
        views.push((format!("{path}.biases"), scales.clone()));
        views.push((format!("{path}.scales"), scales));
    }
    for name in norms {
        views.push((
            name,
            TensorView::new(Dtype::F16, vec![HIDDEN], &ones).unwrap(),
        ));
    }
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    let config = json!({
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "num_hidden_layers": LAYERS,
        "num_attention_heads": 16, "rms_norm_eps": 1e-5, "vocab_size": VOCABULARY, "max_position_embeddings": 128,
        "tie_word_embeddings": true, "quantization": {"group_size": 64, "bits": 4},
    });
    let mut file = fs::File::create(folder.join("config.json")).unwrap();
    file.write_all(config.to_string().as_bytes()).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/llama-f16");
    fs::copy(golden.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
}

fn half_bytes(bits: u16, count: usize) -> Vec<u8> {
    bits.to_le_bytes().repeat(count)
}

/// Current resident memory in bytes, mapped files included.
fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn resident_memory_stays_near_the_size_of_the_files() {
    let folder = TempDir::new().unwrap();
    write_checkpoint(folder.path());
    let before = resident_bytes();
    let engine = Engine::load(folder.path(), &LoadOptions::default()).unwrap();
    let request = Request {
        prompt: vec![1, 2, 3],
        max_tokens: Some(2),
        ignore_eos: true,
        ..Request::default()
    };
    // A forward pass reads every weight.
    assert!(engine.submit(request).unwrap().all(|event| event.is_ok()));
    let used = resident_bytes() - before;
    let plan = engine.memory_plan();
    let limit = plan.weights_bytes * 115 / 100 + (64 << 20) + plan.kv_pool_bytes;
    assert!(
        plan.weights_bytes > 100 << 20,
        "the checkpoint is too small for this test: {} bytes",
        plan.weights_bytes
    );
    assert!(
        used > plan.weights_bytes / 2,
        "only {used} bytes: the weights were not read"
    );
    assert!(
        used <= limit,
        "{used} bytes resident, at most {limit} expected"
    );
}
