//! Compares rendered chat templates with Python.
//!
//! tests/python/template_reference.py writes the reference. The test of the repository's own templates always runs; the one of
//! real templates needs a corpus, which `cargo xtask test templates` downloads.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use mlxm_chat::template::{ChatTemplate, RenderOptions};
use mlxm_engine::text::Tokenizer;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Reference {
    now: String,
    tokenizer: Option<String>,
    conversations: BTreeMap<String, Conversation>,
    results: BTreeMap<String, BTreeMap<String, Outcome>>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    kwargs: Map<String, Value>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    continue_final_message: bool,
}

#[derive(Deserialize)]
struct Outcome {
    text: Option<String>,
    ids: Option<Vec<u32>>,
    error: Option<String>,
}

/// The default tokenizer of the script.
fn small_tokenizer() -> Tokenizer {
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null, "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2}, "unk_token": "<unk>"},
    });
    let backend = tokenizers::Tokenizer::from_bytes(document.to_string()).unwrap();
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"});
    Tokenizer::from_backend(backend, config.as_object().unwrap()).unwrap()
}

fn compare(templates: &Path, reference: &Path) {
    let reference: Reference =
        serde_json::from_slice(&std::fs::read(reference).expect("the reference file")).unwrap();
    let tokenizer = match &reference.tokenizer {
        Some(directory) => Tokenizer::from_dir(directory).unwrap(),
        None => small_tokenizer(),
    };
    let (mut equal, mut failed, mut also_failed, mut differences) =
        (0, String::new(), 0, String::new());
    for (file, outcomes) in &reference.results {
        let source = std::fs::read_to_string(templates.join(file)).unwrap();
        let template = ChatTemplate::from_source(source, tokenizer.special_tokens());
        for (name, outcome) in outcomes {
            let conversation = &reference.conversations[name];
            let options = RenderOptions {
                tools: conversation.tools.clone(),
                add_generation_prompt: conversation.add_generation_prompt,
                continue_final_message: conversation.continue_final_message,
                kwargs: conversation.kwargs.clone(),
                now: Some(reference.now.parse().unwrap()),
                ..RenderOptions::default()
            };
            let rendered = match &template {
                Ok(template) => template
                    .render(&conversation.messages, &options)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match (&outcome.text, rendered) {
                (Some(expected), Ok(text)) if *expected == text => {
                    if let (Some(ids), Ok(template)) = (&outcome.ids, &template) {
                        let ours = template
                            .apply(&conversation.messages, &options, &tokenizer)
                            .unwrap();
                        assert_eq!(*ids, ours, "{file}, {name}: same text, other ids");
                        let mut detokenizer = tokenizer.detokenizer(false);
                        let mut pieces: String =
                            ours.iter().map(|&id| detokenizer.push(id)).collect();
                        pieces.push_str(&detokenizer.finish());
                        assert_eq!(pieces, tokenizer.decode(&ours, false), "{file}, {name}");
                    }
                    equal += 1;
                }
                (Some(expected), Ok(text)) => {
                    writeln!(
                        differences,
                        "{file}, {name}: {}",
                        first_difference(expected, &text)
                    )
                    .unwrap();
                }
                (Some(_), Err(error)) => writeln!(differences, "{file}, {name}: {error}").unwrap(),
                (None, rendered) => {
                    let error = outcome
                        .error
                        .as_deref()
                        .unwrap_or_default()
                        .lines()
                        .next()
                        .unwrap_or_default();
                    writeln!(failed, "  {file}, {name}: {error}").unwrap();
                    also_failed += usize::from(rendered.is_err());
                }
            }
        }
    }
    let count = failed.lines().count();
    println!(
        "{equal} prompts are equal. Python cannot render {count} (here {also_failed} of them fail, too):\n{failed}"
    );
    assert!(
        differences.is_empty(),
        "different from Python:\n{differences}"
    );
    assert!(equal > 0, "the reference has no prompts");
}

fn first_difference(expected: &str, actual: &str) -> String {
    let position = expected
        .char_indices()
        .zip(actual.chars())
        .find(|((_, one), other)| one != other)
        .map_or(expected.len().min(actual.len()), |((position, _), _)| {
            position
        });
    let start = (0..=position.saturating_sub(60))
        .rev()
        .find(|&at| expected.is_char_boundary(at))
        .unwrap();
    let show = |text: &str| text[start..].chars().take(140).collect::<String>();
    format!(
        "at byte {position}\n  python: {:?}\n  ours:   {:?}",
        show(expected),
        show(actual)
    )
}

#[test]
fn own_templates_render_as_in_python() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    compare(&templates, &templates.join("reference.json"));
}

#[test]
#[ignore = "needs MLXM_TEMPLATE_CORPUS and MLXM_TEMPLATE_REFERENCE, see tests/python/template_reference.py"]
fn real_templates_render_as_in_python() {
    let variable = |name: &str| {
        std::env::var_os(name)
            .unwrap_or_else(|| panic!("set {name}, see tests/python/template_reference.py"))
    };
    compare(
        Path::new(&variable("MLXM_TEMPLATE_CORPUS")),
        Path::new(&variable("MLXM_TEMPLATE_REFERENCE")),
    );
}
