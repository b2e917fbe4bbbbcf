//! Counting the tokens of a text in pieces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use mlxm_engine::text::{PiecePlace, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A tokenizer of characters whose added tokens strip white space, or match the normalized text.
fn tokenizer(normalizer: &Value, pre_tokenizer: &Value) -> Tokenizer {
    let token = |id: u32, content: &str, strips: [bool; 2], normalized: bool| {
        json!({"id": id, "content": content, "special": !normalized, "single_word": false,
               "lstrip": strips[0], "rstrip": strips[1], "normalized": normalized})
    };
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null, "post_processor": null,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "added_tokens": [
            token(1, "<s>", [false, false], false),
            token(2, "<l>", [true, false], false),
            token(3, "<r>", [false, true], false),
            token(4, "<n>", [false, false], true),
        ],
        "model": {"type": "BPE", "unk_token": "<unk>", "merges": [["a", "b"], ["▁", "a"]],
                  "vocab": {"<unk>": 0, "<s>": 1, "<l>": 2, "<r>": 3, "<n>": 4, "a": 5, "b": 6, "▁": 7, "Ġ": 8, " ": 9,
                            "ab": 10, "▁a": 11}},
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("tokenizer.json"),
        document.to_string(),
    )
    .unwrap();
    Tokenizer::from_dir(directory.path()).unwrap()
}

/// Tokenizers that treat the start of a text, or spaces, in different ways.
static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let normalizers = [
        Value::Null,
        json!({"type": "Prepend", "prepend": "▁"}),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
    ];
    let pre_tokenizers = [
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}),
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false}),
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        json!({"type": "WhitespaceSplit"}),
    ];
    let pairs = normalizers.iter().flat_map(|normalizer| {
        let pre_tokenizers = pre_tokenizers.iter();
        pre_tokenizers.map(move |pre_tokenizer| tokenizer(normalizer, pre_tokenizer))
    });
    pairs.collect()
});

fn sum(tokenizer: &Tokenizer, text: &str) -> usize {
    let pieces = tokenizer.pieces(text).into_iter();
    pieces
        .map(|piece| tokenizer.count_piece(piece).unwrap())
        .sum()
}

#[test]
fn pieces_are_added_tokens_and_what_is_between_them() {
    let tokenizer = tokenizer(&Value::Null, &json!({"type": "WhitespaceSplit"}));
    let pieces = tokenizer.pieces("a <l><s>b<n>a");
    let pieces: Vec<_> = pieces
        .into_iter()
        .map(|piece| (piece.text, piece.place))
        .collect();
    let expected = [
        ("a", PiecePlace::Start),
        (" <l>", PiecePlace::Token),
        ("<s>", PiecePlace::Token),
        ("b<n>a", PiecePlace::After("<s>")),
    ];
    assert_eq!(pieces, expected);
    assert!(tokenizer.pieces("").is_empty());
}

#[test]
fn pieces_of_a_byte_level_vocabulary_sum_up() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
    let tokenizer = Tokenizer::from_dir(folder).unwrap();
    let text = "<|im_start|>user\nWhy is the sky blue?  <|im_end|>\n<|im_start|>assistant\n";
    assert!(tokenizer.pieces(text).len() > 5);
    assert_eq!(
        sum(&tokenizer, text),
        tokenizer.encode(text, false).unwrap().len()
    );
}

proptest! {
    #[test]
    fn counts_of_pieces_sum_up(parts in prop::collection::vec(
        prop::sample::select(vec!["a", "b", "ab", " ", "  ", "\n", "é", "<", "<s>", "<l>", "<r>", "<n>"]), 0..12)
    ) {
        let text = parts.concat();
        for tokenizer in TOKENIZERS.iter() {
            let whole = tokenizer.encode(&text, false).unwrap().len();
            prop_assert_eq!(sum(tokenizer, &text), whole);
        }
    }
}
