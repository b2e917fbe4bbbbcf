//! Conversion of tokenizers.

use proptest::prelude::*;
use serde_json::Value;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, Tokenizer};

use super::super::architecture::Architecture;
use super::super::pre_tokenizer::PreTokenizer;
use super::super::reader::Gguf;
use super::super::tokenizer::tokenizer;
use super::builder::{GgufBuilder, tiny_metadata};

fn build(builder: &GgufBuilder) -> (Tokenizer, super::super::tokenizer::Tokenizer) {
    let bytes = builder.build();
    let gguf = Gguf::parse(&bytes).unwrap();
    let files = tokenizer(&gguf, Architecture::find("llama", |_| false).unwrap()).unwrap();
    (files.model.to_string().parse().unwrap(), files)
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn byte_level_tokenizer_applies_merges_and_special_tokens() {
    let (tokenizer, files) = build(&tiny_metadata());
    assert_eq!(ids(&tokenizer, "abba<s>ab"), [0, 3, 2, 1, 0, 3]);
    assert_eq!(files.config["bos_token"], "<s>");
    assert_eq!(files.config["add_bos_token"], true);
    assert_eq!(files.generation["eos_token_id"], 0);
    assert_eq!(files.config["chat_template"], "{{ messages[0].content }}");
}

#[test]
fn eog_tokens_in_the_chat_template_are_eos_tokens() {
    let bytes = GgufBuilder::default()
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "qwen2")
        .texts(
            "tokenizer.ggml.tokens",
            &["<|endoftext|>", "<|im_end|>", "<|eot_id|>", "a"],
        )
        .i32s("tokenizer.ggml.token_type", &[3, 3, 3, 1])
        .texts("tokenizer.ggml.merges", &[])
        .u32("tokenizer.ggml.eos_token_id", 0)
        .text("tokenizer.chat_template", "{{ x }}<|im_end|>");
    let (_, files) = build(&bytes);
    assert_eq!(files.generation["eos_token_id"], serde_json::json!([0, 1]));
    assert_eq!(files.config["add_bos_token"], Value::Bool(false));
}

#[test]
fn named_templates_become_a_list() {
    let named = tiny_metadata()
        .texts("tokenizer.chat_templates", &["tool_use"])
        .text("tokenizer.chat_template.tool_use", "{{ tools }}");
    let (_, files) = build(&named);
    let expected = serde_json::json!([
        {"name": "default", "template": "{{ messages[0].content }}"},
        {"name": "tool_use", "template": "{{ tools }}"},
    ]);
    assert_eq!(files.config["chat_template"], expected);
}

#[test]
fn every_pre_tokenizer_keeps_the_text() {
    let mut bytes: Vec<String> = ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    bytes.sort();
    let tokens: Vec<&str> = bytes.iter().map(String::as_str).collect();
    let text = "Don't SHOUT at 12345 camelCases,\r\n\n  it's naïve: 日本語 x=3.14\t!!!  ";
    for name in PreTokenizer::names() {
        let file = GgufBuilder::default()
            .text("tokenizer.ggml.model", "gpt2")
            .text("tokenizer.ggml.pre", name)
            .texts("tokenizer.ggml.tokens", &tokens)
            .texts("tokenizer.ggml.merges", &[]);
        let (tokenizer, _) = build(&file);
        assert_eq!(
            tokenizer.decode(&ids(&tokenizer, text), true).unwrap(),
            text,
            "{name}"
        );
    }
}

/// Splits `text` with the pre-tokenizer `name`.
fn split(name: &str, text: &str) -> Vec<String> {
    let json = PreTokenizer::find(Some(name)).unwrap().pre_tokenizer();
    let splitter: PreTokenizerWrapper = serde_json::from_value(json).unwrap();
    let mut pieces = PreTokenizedString::from(text);
    splitter.pre_tokenize(&mut pieces).unwrap();
    pieces
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .into_iter()
        .map(|(_, (start, end), _)| text[start..end].to_owned())
        .collect()
}

#[test]
fn pre_tokenizers_split_as_their_model_families() {
    assert_eq!(split("gpt-2", "it's 1234"), ["it", "'s", " 1234"]);
    assert_eq!(split("smollm", "it's 12"), ["it", "'s", " ", "1", "2"]);
    assert_eq!(
        split("llama-bpe", "IT'S 1234"),
        ["IT", "'S", " ", "123", "4"]
    );
    assert_eq!(split("qwen2", "IT'S 12"), ["IT", "'S", " ", "1", "2"]);
    assert_eq!(
        split("gpt-4o", "camelCase it's 1234"),
        ["camel", "Case", " it's", " ", "123", "4"]
    );
    assert_eq!(
        split("tekken", "camelCase it's 12"),
        ["camel", "Case", " it", "'s", " ", "1", "2"]
    );
    assert_eq!(
        split("hunyuan-dense", "it's 1234 日本語カナabc.x"),
        ["it", "'s", " ", "123", "4", " ", "日本語カナ", "abc", ".x"]
    );
}

/// Bytes and pieces of `▁`, `a` and `b` with descending scores.
fn sentencepiece() -> GgufBuilder {
    let bytes: Vec<String> = (0..256).map(|byte| format!("<0x{byte:02X}>")).collect();
    let pieces = [
        "ab",
        "\u{2581}ab",
        "bb",
        "\u{2581}a",
        "abb",
        "\u{2581}",
        "a",
        "b",
    ];
    let tokens: Vec<&str> = ["<unk>", "<s>", "</s>"]
        .into_iter()
        .chain(bytes.iter().map(String::as_str))
        .chain(pieces)
        .collect();
    let types: Vec<i32> = [2, 3, 3]
        .into_iter()
        .chain([6; 256])
        .chain([1; 8])
        .collect();
    let scores: Vec<f32> = [0.0; 259]
        .into_iter()
        .chain((0..8).map(|rank| -(rank as f32)))
        .collect();
    GgufBuilder::default()
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .i32s("tokenizer.ggml.token_type", &types)
        .f32s("tokenizer.ggml.scores", &scores)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
}

#[test]
fn sentencepiece_merges_by_score_and_falls_back_to_bytes() {
    let (tokenizer, _) = build(&sentencepiece());
    let (ab, space_ab, bb, abb) = (259, 260, 261, 263);
    let byte = |byte: u32| 3 + byte;
    assert_eq!(ids(&tokenizer, "ab"), [1, space_ab]);
    // `ab` has a higher score than `bb`, so it is merged first.
    assert_eq!(ids(&tokenizer, "aabbb"), [1, 262, ab, bb]);
    assert_eq!(ids(&tokenizer, "ab abb")[1..], [space_ab, space_ab, 266]);
    assert_eq!(ids(&tokenizer, "é")[1..], [264, byte(0xc3), byte(0xa9)]);
    assert_eq!(abb, 263);
    assert_eq!(
        tokenizer
            .decode(&ids(&tokenizer, "ab é\nabb"), true)
            .unwrap(),
        "ab é\nabb"
    );
}

fn error_message(builder: &GgufBuilder) -> String {
    let bytes = builder.build();
    let gguf = Gguf::parse(&bytes).unwrap();
    let result = tokenizer(&gguf, Architecture::find("llama", |_| false).unwrap());
    result.err().unwrap().to_string()
}

#[test]
fn damaged_tables_are_rejected_by_their_key() {
    let byte_level = |merges: &[&str]| {
        GgufBuilder::default()
            .text("tokenizer.ggml.model", "gpt2")
            .text("tokenizer.ggml.pre", "gpt-2")
            .texts("tokenizer.ggml.tokens", &["a", "b", "ab", "c"])
            .texts("tokenizer.ggml.merges", merges)
    };
    for merge in ["zz a", "a zz", "b c", "a b c", "ab", "", " ", "a  b"] {
        let message = error_message(&byte_level(&["a b", merge]));
        assert!(
            message.contains("tokenizer.ggml.merges[1]"),
            "{merge:?}: {message}"
        );
    }
    let types = "tokenizer.ggml.token_type";
    for (builder, expected) in [
        (byte_level(&[]).i32s(types, &[1, 1, 1]), "has 3 items"),
        (
            byte_level(&[]).i32s(types, &[1, 1, 7, 1]),
            "token_type[2] is 7",
        ),
        (
            byte_level(&[]).i32s(types, &[1, -1, 1, 1]),
            "token_type[1] is -1",
        ),
        (byte_level(&[]).f32s(types, &[1.0; 4]), types),
        (byte_level(&[]).texts(types, &["1"; 4]), types),
        (byte_level(&[]).u32(types, 1), types),
    ] {
        let message = error_message(&builder);
        assert!(message.contains(expected), "{expected}: {message}");
    }

    let pieces = |scores: &[f32], kinds: &[i32]| {
        GgufBuilder::default()
            .text("tokenizer.ggml.model", "llama")
            .texts("tokenizer.ggml.tokens", &["a", "<0x41>"])
            .i32s(types, kinds)
            .f32s("tokenizer.ggml.scores", scores)
    };
    for (builder, expected) in [
        (pieces(&[0.0], &[1, 1]), "tokenizer.ggml.scores has 1 items"),
        (
            pieces(&[0.0, f32::NAN], &[1, 1]),
            "tokenizer.ggml.scores[1] is NaN",
        ),
        (
            pieces(&[0.0; 2], &[6, 1]),
            "tokenizer.ggml.tokens[0] is \"a\"",
        ),
        (pieces(&[0.0; 2], &[1, 6]), "1 of 256 bytes"),
    ] {
        let message = error_message(&builder);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn unsupported_tokenizers_are_rejected() {
    let plain = |model: &str, pre: &str, tokens: &[&str]| {
        GgufBuilder::default()
            .text("tokenizer.ggml.model", model)
            .text("tokenizer.ggml.pre", pre)
            .texts("tokenizer.ggml.tokens", tokens)
            .texts("tokenizer.ggml.merges", &[])
    };
    assert!(error_message(&plain("bert", "x", &["a"])).contains("\"bert\""));
    let message = error_message(&plain("gpt2", "hieroglyphs", &["a"]));
    assert!(
        message.contains("\"hieroglyphs\"") && message.contains("smollm"),
        "{message}"
    );
    assert!(error_message(&plain("gpt2", "gpt-2", &["a", "a"])).contains("both \"a\""));
    let beyond = plain("gpt2", "gpt-2", &["a"]).u32("tokenizer.ggml.eos_token_id", 7);
    assert!(error_message(&beyond).contains("eos_token_id is 7"));
    let unscored = plain("llama", "default", &["a"]);
    assert!(error_message(&unscored).contains("tokenizer.ggml.scores"));
}

proptest! {
    #[test]
    fn sentencepiece_round_trips_text(text in "[ab é日\n]{1,24}") {
        let (tokenizer, _) = build(&sentencepiece());
        let ids = ids(&tokenizer, &text);
        prop_assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    }
}
