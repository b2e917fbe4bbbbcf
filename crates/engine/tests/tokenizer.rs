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

/// A byte-level BPE without merges. Its added tokens have the ids from 256 on.
fn byte_level_document(decoder: &Value, added: &[&str]) -> Value {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
        .into_iter()
        .collect();
    alphabet.sort_unstable();
    let vocab: serde_json::Map<String, Value> = alphabet
        .into_iter()
        .enumerate()
        .map(|(id, letter)| (letter.to_string(), json!(id)))
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
        "decoder": decoder,
        "added_tokens": added_tokens(256, added),
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    })
}

fn added_tokens(first: usize, contents: &[&str]) -> Value {
    let token = |(index, content): (usize, &&str)| {
        json!({"id": first + index, "content": content, "special": false, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    };
    contents.iter().enumerate().map(token).collect()
}

fn sentencepiece_decoder() -> Value {
    json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut detokenizer = tokenizer.detokenizer(true);
    let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
    text.push_str(&detokenizer.finish());
    text
}

/// Checks that the ids of `text` decode to it, at once, streamed, and as bytes of single tokens.
fn assert_round_trip(tokenizer: &Tokenizer, text: &str) {
    let ids = tokenizer.encode(text, false).unwrap();
    assert_eq!(tokenizer.decode(&ids, true), text, "{ids:?}");
    assert_eq!(streamed(tokenizer, &ids), text, "{ids:?}");
    let bytes: Vec<u8> = ids
        .iter()
        .flat_map(|id| tokenizer.token_bytes(*id).unwrap())
        .collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), text, "{ids:?}");
}

#[test]
fn byte_level_vocabulary_decodes_whatever_the_decoder_is() {
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    for decoder in [
        byte_level,
        metaspace,
        sentencepiece_decoder(),
        json!({"type": "Fuse"}),
        Value::Null,
    ] {
        let document = byte_level_document(&decoder, &[]);
        let tokenizer = load(&[("tokenizer.json", document)]).unwrap();
        for text in ["Hello wörld\n", " a  b ", "▁_\u{2028}日本😀", "Ġ"] {
            assert_round_trip(&tokenizer, text);
        }
    }
}

#[test]
fn added_tokens_decode_to_their_text() {
    let contents = [
        "<|é|>",
        "éé",
        "ĠĠ",
        "ÃÃ",
        "▁",
        "<日本▁>",
        "<｜User｜>",
        "\u{a0}",
        "<0x0A>",
        "x y",
        "\u{ad}\u{143}",
        "😀",
    ];
    let word_level = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "pre_tokenizer": null, "decoder": sentencepiece_decoder(), "added_tokens": added_tokens(3, &contents),
        "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "bc": 1, "d": 2}},
    });
    for (document, words) in [
        (
            byte_level_document(&sentencepiece_decoder(), &contents),
            ["a", "日", "d"],
        ),
        (word_level, ["a", "bc", "d"]),
    ] {
        let tokenizer = load(&[("tokenizer.json", document)]).unwrap();
        for content in contents {
            assert_round_trip(&tokenizer, content);
            for word in words {
                assert_round_trip(
                    &tokenizer,
                    &format!("{word}{content}{word}{content}{content}"),
                );
            }
        }
    }
}

#[test]
fn added_token_ends_an_incomplete_character() {
    let tokenizer = load(&[(
        "tokenizer.json",
        byte_level_document(&Value::Null, &["<é>"]),
    )])
    .unwrap();
    let ids = tokenizer.encode("日", false).unwrap();
    let cut = [ids[0], ids[1], 256, ids[0]];
    assert_eq!(tokenizer.decode(&cut, true), "\u{fffd}<é>\u{fffd}");
    assert_eq!(streamed(&tokenizer, &cut), "\u{fffd}<é>\u{fffd}");
}

#[test]
fn runs_of_the_space_symbol_in_the_vocabulary_are_spaces() {
    // As in Gemma's tokenizer, where they are marked as added.
    let tokenizer = load(&[(
        "tokenizer.json",
        json!({
            "version": "1.0", "truncation": null, "padding": null, "post_processor": null, "pre_tokenizer": null,
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "added_tokens": added_tokens(1, &["▁▁"]),
            "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "▁▁": 1}},
        }),
    )])
    .unwrap();
    assert_eq!(tokenizer.decode(&[0, 1, 0], true), "a  a");
    assert_eq!(streamed(&tokenizer, &[0, 1, 0]), "a  a");
}

#[test]
fn numbers_that_are_not_finite_in_the_configuration_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "tokenizer.json", &document());
    std::fs::write(
        directory.path().join("tokenizer_config.json"),
        r#"{"model_max_length": Infinity, "eos_token": "</s>"}"#,
    )
    .unwrap();
    let tokenizer = Tokenizer::from_dir(directory.path()).unwrap();
    assert_eq!(tokenizer.eos_id(), Some(4));
}
