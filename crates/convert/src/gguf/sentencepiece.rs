//! `tokenizer.json` of a SentencePiece byte-pair encoding (`tokenizer.ggml.model = "llama"`).
//!
//! SentencePiece merges the two neighbours that form the piece with the highest score. The equivalent list of merges
//! contains every split of every piece into two pieces, in descending order of the score of the piece.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::GgufError;
use super::reader::Gguf;
use super::tokenizer::{BYTE, CONTROL, UNKNOWN, Vocabulary, vocabulary_map};
use crate::ConvertError;

/// Represents a space in pieces.
const SPACE: &str = "\u{2581}";

/// Builds `tokenizer.json` without a post-processor.
pub(super) fn sentencepiece(
    gguf: &Gguf<'_>,
    vocabulary: &Vocabulary<'_>,
) -> Result<Value, ConvertError> {
    let key = "tokenizer.ggml.scores";
    let scores = gguf
        .optional_floats(key)?
        .ok_or_else(|| GgufError::MissingKey(key.to_owned()))?;
    if scores.len() != vocabulary.tokens.len() {
        return Err(ConvertError::Tokenizer(format!(
            "{key} has {} items, but there are {} tokens",
            scores.len(),
            vocabulary.tokens.len()
        )));
    }
    if let Some(id) = scores.iter().position(|score| score.is_nan()) {
        return Err(ConvertError::Tokenizer(format!("{key}[{id}] is NaN")));
    }
    let add_space_prefix = gguf
        .optional_bool("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    let bytes = byte_tokens(vocabulary)?;
    let unknown = vocabulary.types.iter().position(|kind| *kind == UNKNOWN);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let normalizer = if add_space_prefix {
        json!({
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace],
        })
    } else {
        replace
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if add_space_prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": vocabulary.added_tokens(),
        "normalizer": normalizer,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown.map(|id| vocabulary.tokens[id]),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": bytes == 256,
            "ignore_merges": false,
            "vocab": vocabulary_map(vocabulary)?,
            "merges": merges(vocabulary, &scores),
        },
    }))
}

/// The number of byte tokens: none or all 256.
fn byte_tokens(vocabulary: &Vocabulary<'_>) -> Result<usize, ConvertError> {
    let mut bytes = HashSet::new();
    let tokens = vocabulary.tokens.iter().zip(&vocabulary.types).enumerate();
    for (id, (token, _)) in tokens.filter(|(_, (_, kind))| **kind == BYTE) {
        let byte = token
            .strip_prefix("<0x")
            .and_then(|rest| rest.strip_suffix('>'))
            .filter(|digits| digits.len() == 2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| *token == format!("<0x{byte:02X}>"));
        let Some(byte) = byte else {
            return Err(ConvertError::Tokenizer(format!(
                "tokenizer.ggml.token_type[{id}] is a byte, but tokenizer.ggml.tokens[{id}] is {token:?}, expected <0x00> \
                 to <0xFF>"
            )));
        };
        bytes.insert(byte);
    }
    match bytes.len() {
        count @ (0 | 256) => Ok(count),
        count => Err(ConvertError::Tokenizer(format!(
            "tokenizer.ggml.tokens has byte tokens for {count} of 256 bytes"
        ))),
    }
}

/// Every pair of pieces that forms a piece, highest score first.
fn merges<'a>(vocabulary: &Vocabulary<'a>, scores: &[f64]) -> Vec<[&'a str; 2]> {
    let pieces: HashMap<&str, usize> = vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| !matches!(vocabulary.types[*id], UNKNOWN | CONTROL | BYTE))
        .map(|(id, token)| (*token, id))
        .collect();
    // Hashing both parts of every split would take time in proportion to the square of the length of a piece.
    let lengths: HashSet<usize> = pieces.keys().map(|piece| piece.len()).collect();
    let mut splits = Vec::new();
    for (piece, id) in &pieces {
        for (at, _) in piece.char_indices().skip(1) {
            if !lengths.contains(&at) || !lengths.contains(&(piece.len() - at)) {
                continue;
            }
            let (left, right) = piece.split_at(at);
            if let (Some(left_id), Some(right_id)) = (pieces.get(left), pieces.get(right)) {
                splits.push((*id, *left_id, *right_id, at));
            }
        }
    }
    // For the same piece, the split with the longer left part comes first.
    splits.sort_by(|a, b| {
        scores[b.0]
            .total_cmp(&scores[a.0])
            .then(a.0.cmp(&b.0))
            .then(b.3.cmp(&a.3))
    });
    splits
        .into_iter()
        .map(|(_, left, right, _)| [vocabulary.tokens[left], vocabulary.tokens[right]])
        .collect()
}
