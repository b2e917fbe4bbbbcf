//! `docs/models.md`: a table of the architectures that load, from the code, the comparisons with mlx-lm and the snapshot of
//! real chat templates.
//!
//! `MLXM_UPDATE_DOCS=1 cargo test -p mlxm models_document` writes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mlxm_engine::GroupKind;
use mlxm_engine::forward::ModelConfig;
use mlxm_engine::models::{read_model_config, supported};
use regex::Regex;

/// The template of a published model of an architecture, as the snapshot of `format_corpus.rs` names it.
const TEMPLATES: &[(&str, &str)] = &[
    ("apertus", "Apertus-8B-Instruct"),
    ("cohere", "CohereForAI-c4ai-command-r-plus-tool_use"),
    ("cohere2", "CohereForAI-c4ai-command-r7b-12-2024-tool_use"),
    ("gemma2", "google-gemma-2-2b-it"),
    ("granite", "ibm-granite-granite-3.3-2B-Instruct"),
    ("llama", "meta-llama-Llama-3.2-3B-Instruct"),
    ("mimo", "MiMo-VL"),
    ("minicpm", "openbmb-MiniCPM5-1B"),
    ("ministral3", "mistralai-Ministral-3-14B-Reasoning-2512"),
    ("mistral", "mistralai-Mistral-Nemo-Instruct-2407"),
    ("mistral3", "Mistral-Small-3.2-24B-Instruct-2506"),
    ("phi3", "microsoft-Phi-3.5-mini-instruct"),
    ("qwen2", "Qwen-Qwen2.5-7B-Instruct"),
    ("qwen3", "Qwen-Qwen3-0.6B"),
    ("seed_oss", "ByteDance-Seed-OSS"),
    ("smollm3", "HuggingFaceTB-SmolLM3-3B"),
    ("spark2_5", "Spark2.5"),
];

const INTRODUCTION: &str = "\
# Models

Architectures that load, by the `model_type` in `config.json`. A test writes this table from the code and the tests
(`crates/cli/tests/cli/models_document.rs`).

- **compared with mlx-lm**: logits of a small random checkpoint with every quantization in `tests/python/cases.py` (dense f32,
  3, 4, 5, 6 and 8 bits, mixed), in one pass and in chunks through the KV cache, differ by at most 2e-5 of their range; \"+ n\" counts
  further cases, such as RoPE scaling, windows shorter than the prompt, biases and defaults. The others are names of an
  architecture that is compared.
- For all of them, results in a batch, after a cached prefix and in chunks are bitwise those of a request alone, dense and quantized
  (`crates/engine/tests/api/architectures.rs`).
- **attention**: `window` is sliding-window attention, which caches only the window.
- **tools**, **reasoning**: the syntaxes that are recognised in the chat template of a published model. They depend on the template of a
  checkpoint, not on its architecture; `mlxm show` says whether a checkpoint has them. `-`: none. Empty: the tests have no template
  of such a model; `any_tags` recognises all tags of reasoning.
- **GGUF**: the architectures of GGUF files that `mlxm convert` writes as this `model_type`.

Weights can be float16, bfloat16 or float32, affine with 2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128, mxfp4, nvfp4 or mxfp8, and
mixed. For an architecture that is not in the table, the error names the closest one and what is missing.

";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether logits are compared with mlx-lm, and in how many cases in addition to the quantizations.
fn compared(model_type: &str, cases: &str) -> String {
    let config = repository().join(format!("tests/python/configs/{model_type}.json"));
    if !config.exists() {
        return String::new();
    }
    let case = Regex::new(&format!(r#"case\(\s*"{model_type}""#)).unwrap();
    match case.find_iter(cases).count() {
        0 => "yes".to_owned(),
        count => format!("yes + {count}"),
    }
}

fn attention(config: &dyn ModelConfig) -> &'static str {
    let kinds: Vec<GroupKind> = config
        .cache_layers()
        .iter()
        .map(|layer| layer.kind)
        .collect();
    let full = kinds.contains(&GroupKind::Full);
    let window = kinds.iter().any(|kind| *kind != GroupKind::Full);
    match (full, window) {
        (true, true) => "full, window",
        (false, true) => "window",
        _ => "full",
    }
}

/// Syntaxes of tool calls and reasoning in the template of a published model.
fn formats(model_type: &str, snapshot: &str) -> (String, String) {
    let Some((_, template)) = TEMPLATES.iter().find(|(name, _)| *name == model_type) else {
        return (String::new(), String::new());
    };
    let line = snapshot
        .lines()
        .find(|line| line.split_whitespace().next() == Some(template))
        .unwrap_or_else(|| panic!("{template} is not in the snapshot"));
    let mut words = line.split_whitespace().skip(1).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn document() -> String {
    let cases = read("tests/python/cases.py");
    let snapshot =
        read("crates/chat/tests/snapshots/format_corpus__real_templates_use_known_syntaxes.snap");
    let mut document = INTRODUCTION.to_owned();
    document.push_str("| `model_type` | file in `models/` | attention | compared with mlx-lm | tools | reasoning | GGUF |\n");
    document.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for model_type in supported() {
        let config = mlxm_testmodel::checkpoint_config(&mlxm_testmodel::config(model_type));
        let (file, model_config) = read_model_config(&config).unwrap();
        let (tools, reasoning) = formats(model_type, &snapshot);
        let gguf: Vec<&str> = mlxm_convert::gguf_architectures()
            .filter(|(_, written)| *written == model_type)
            .map(|(name, _)| name)
            .collect();
        writeln!(
            document,
            "| {model_type} | {file} | {} | {} | {tools} | {reasoning} | {} |",
            attention(&*model_config),
            compared(model_type, &cases),
            gguf.join(", "),
        )
        .unwrap();
    }
    document
}

#[test]
fn committed_document_is_current() {
    let path = repository().join("docs/models.md");
    let document = document();
    if std::env::var_os("MLXM_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    assert!(
        read("docs/models.md") == document,
        "docs/models.md is out of date: MLXM_UPDATE_DOCS=1 cargo test -p mlxm --test cli models_document"
    );
}
