//! Loading tokenizers from their files, with the same results as transformers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use mlxm_engine::text::{Tokenizer, TokenizerError};
use serde_json::{Value, json};

fn document() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "<unk>"},
        "normalizer": null, "decoder": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "added_tokens": [{"id": 1, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false}],
        "model": {"type": "WordLevel", "unk_token": "<unk>",
                  "vocab": {"<unk>": 0, "<s>": 1, "a": 2, "b": 3, "</s>": 4, "<tool>": 5}},
    })
}

fn write(directory: &Path, name: &str, content: &Value) {
    std::fs::write(directory.join(name), content.to_string()).unwrap();
}

fn load(files: &[(&str, Value)]) -> Result<Tokenizer, TokenizerError> {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(directory.path(), name, content);
    }
    Tokenizer::from_dir(directory.path())
}

#[test]
fn post_processor_determines_the_added_special_tokens() {
    let config = json!({"add_bos_token": false, "add_eos_token": true, "eos_token": "</s>"});
    let tokenizer = load(&[
        ("tokenizer.json", document()),
        ("tokenizer_config.json", config),
    ])
    .unwrap();
    assert_eq!(tokenizer.encode("a b a", true).unwrap(), [1, 2, 3, 2]);
    assert_eq!(tokenizer.encode("a b a", false).unwrap(), [2, 3, 2]);
    assert_eq!(tokenizer.decode(&[1, 2, 3], true), "a b");
    assert_eq!(tokenizer.decode(&[1, 2, 3], false), "<s> a b");
    assert_eq!(tokenizer.decode(&[], false), "");
}

#[test]
fn special_tokens_come_from_both_configs() {
    let config = json!({"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "a", "pad_token": null,
                        "tool_token": "<tool>", "additional_special_tokens": ["<new>"]});
    let map = json!({"eos_token": {"content": "</s>", "lstrip": false}});
    let tokenizer = load(&[
        ("tokenizer.json", document()),
        ("tokenizer_config.json", config.clone()),
        ("special_tokens_map.json", map.clone()),
    ])
    .unwrap();
    assert_eq!(
        (tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()),
        (Some(1), Some(4), None)
    );
    assert_eq!(tokenizer.stop_ids(), [4]);
    assert_eq!(tokenizer.special_tokens().get("tool_token"), Some("<tool>"));
    assert_eq!(tokenizer.vocab_size(), 7);
    assert_eq!(tokenizer.token_to_id("<new>"), Some(6));
    assert!([1, 4, 5, 6].into_iter().all(|id| tokenizer.is_special(id)));
    assert!(!tokenizer.is_special(2) && !tokenizer.is_special(99));
    assert_eq!(tokenizer.encode("a<new>b", false).unwrap(), [2, 6, 3]);

    // With `added_tokens_decoder`, the map is ignored.
    let mut complete = config;
    complete["added_tokens_decoder"] =
        json!({"2": {"content": "a", "special": true}, "3": {"content": "b", "special": false}});
    let tokenizer = load(&[
        ("tokenizer.json", document()),
        ("tokenizer_config.json", complete),
        ("special_tokens_map.json", map),
    ])
    .unwrap();
    assert_eq!(tokenizer.eos_id(), Some(2));
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [2, 3]);
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(3));
}

#[test]
fn split_special_tokens_encodes_special_tokens_as_text() {
    let config = json!({"split_special_tokens": true, "bos_token": "<s>"});
    let tokenizer = load(&[
        ("tokenizer.json", document()),
        ("tokenizer_config.json", config),
    ])
    .unwrap();
    assert_eq!(tokenizer.encode("a<s>", false).unwrap(), [0]);
}

#[test]
fn missing_tokenizer_error_lists_other_formats() {
    let error = load(&[("tokenizer.model", json!(1)), ("vocab.json", json!({}))]).unwrap_err();
    assert!(matches!(error, TokenizerError::Missing { .. }));
    assert!(
        error
            .to_string()
            .contains("it only has tokenizer.model and vocab.json"),
        "{error}"
    );
    let error = load(&[]).unwrap_err().to_string();
    assert!(error.contains("no tokenizer files"), "{error}");
    let error = Tokenizer::from_dir("no/such/directory")
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn invalid_files_are_named() {
    for (name, content) in [
        ("tokenizer.json", json!({"model": {}})),
        ("tokenizer_config.json", json!([1])),
    ] {
        let error = load(&[("tokenizer.json", document()), (name, content)]).unwrap_err();
        assert!(matches!(error, TokenizerError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn text_outside_the_vocabulary_is_an_error_without_an_unknown_token() {
    let mut document = document();
    document["model"]["unk_token"] = json!("<absent>");
    let tokenizer = load(&[("tokenizer.json", document)]).unwrap();
    assert!(matches!(
        tokenizer.encode("zzz", false),
        Err(TokenizerError::Encode(_))
    ));
}
