//! How `tokenizer.ggml.pre` splits text before byte-pair encoding.

use serde_json::{Value, json};

use crate::ConvertError;

/// What a `pre` name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreTokenizer {
    split: Split,
    /// Canonical composition before everything else.
    composes: bool,
    /// A word that is a token as a whole is taken without looking at merges.
    pub(super) ignores_merges: bool,
    /// Whether a beginning-of-text token is added where the file does not say.
    pub(super) adds_bos: bool,
}

#[derive(Debug, Clone, Copy)]
enum Split {
    /// GPT-2's own words.
    Gpt2,
    /// GPT-2's words, every digit by itself.
    Gpt2Digits,
    /// The words a pattern finds.
    Pattern(&'static str),
}

/// Contractions, words with one leading sign, numbers of up to three digits, signs, line ends, spaces.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The same with every digit by itself.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words are cut before a capital letter as well; contractions stay with them.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The same without contractions, every digit by itself.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const KNOWN: &[(&[&str], PreTokenizer)] = &[
    (&["gpt-2", "phi-2", "mpt", "jais"], plain(Split::Gpt2)),
    (
        &["olmo"],
        PreTokenizer {
            composes: true,
            ..plain(Split::Gpt2)
        },
    ),
    (
        &["smollm", "starcoder", "refact", "codeshell"],
        plain(Split::Gpt2Digits),
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        PreTokenizer {
            ignores_merges: true,
            adds_bos: true,
            ..plain(Split::Pattern(LLAMA3))
        },
    ),
    (&["dbrx", "smaug-bpe"], plain(Split::Pattern(LLAMA3))),
    (
        &["qwen2", "megrez"],
        PreTokenizer {
            composes: true,
            ..plain(Split::Pattern(QWEN2))
        },
    ),
    (
        &["deepseek-r1-qwen", "stablelm2"],
        plain(Split::Pattern(QWEN2)),
    ),
    (&["gpt-4o", "llama4"], plain(Split::Pattern(GPT4O))),
    (
        &["tekken"],
        PreTokenizer {
            ignores_merges: true,
            adds_bos: true,
            ..plain(Split::Pattern(TEKKEN))
        },
    ),
];

const fn plain(split: Split) -> PreTokenizer {
    PreTokenizer {
        split,
        composes: false,
        ignores_merges: false,
        adds_bos: false,
    }
}

impl PreTokenizer {
    /// Every name that is known.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().flat_map(|(names, _)| *names).copied()
    }

    /// What `name` stands for.
    pub(super) fn find(name: Option<&str>) -> Result<Self, ConvertError> {
        let Some(name) = name else {
            return Err(ConvertError::Tokenizer(
                "the file does not say how text is split (tokenizer.ggml.pre), as files made before May 2024 did \
                 not; get a newer one"
                    .to_owned(),
            ));
        };
        KNOWN
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, pre_tokenizer)| *pre_tokenizer)
            .ok_or_else(|| {
                ConvertError::Tokenizer(format!(
                    "the way it splits text (tokenizer.ggml.pre = {name:?}) is not known; known are {}",
                    Self::names().collect::<Vec<_>>().join(", ")
                ))
            })
    }

    /// `normalizer` of `tokenizer.json`.
    pub(super) fn normalizer(&self) -> Value {
        if self.composes {
            json!({"type": "NFC"})
        } else {
            Value::Null
        }
    }

    /// `pre_tokenizer` of `tokenizer.json`.
    pub(super) fn pre_tokenizer(&self) -> Value {
        let bytes = |use_regex: bool| {
            json!({
                "type": "ByteLevel",
                "add_prefix_space": false,
                "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        match self.split {
            Split::Gpt2 => bytes(true),
            Split::Gpt2Digits => json!({
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": true}, bytes(true)],
            }),
            Split::Pattern(pattern) => json!({
                "type": "Sequence",
                "pretokenizers": [
                    {
                        "type": "Split",
                        "pattern": {"Regex": pattern},
                        "behavior": "Isolated",
                        "invert": false,
                    },
                    bytes(false),
                ],
            }),
        }
    }
}
