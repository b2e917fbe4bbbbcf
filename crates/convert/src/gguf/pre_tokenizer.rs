//! The pre-tokenizers that `tokenizer.ggml.pre` names. They split text before byte-pair encoding.

use serde_json::{Value, json};

use crate::ConvertError;

/// Properties of a pre-tokenizer.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreTokenizer {
    split: Split,
    /// Normalize to NFC first.
    nfc: bool,
    /// `ignore_merges` of the BPE model: a word that is a token is not split.
    pub(super) ignore_merges: bool,
    /// Whether a beginning-of-text token is added if the file has no `add_bos_token`.
    pub(super) add_bos: bool,
}

#[derive(Debug, Clone, Copy)]
enum Split {
    /// The pattern of GPT-2.
    Gpt2,
    /// The pattern of GPT-2, with single digits.
    Gpt2Digits,
    /// The matches of a pattern.
    Pattern(&'static str),
    /// The matches of each pattern in what is left of those before it.
    Patterns(&'static [&'static str]),
}

/// Llama 3: contractions, words with one leading character, up to three digits, punctuation, line breaks, spaces.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen 2: like Llama 3, with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Seed-Coder: like Qwen 2, but line breaks are no part of punctuation.
const SEED_CODER: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GPT-4o: words are also split before a capital letter; contractions stay with their word.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Tekken: like GPT-4o, without contractions and with single digits.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// DeepSeek-V3: up to three digits, Chinese and Japanese, then letters with marks, with one leading character.
const DEEPSEEK_V3: &[&str] = &[
    r"\p{N}{1,3}",
    "[一-龥\u{3040}-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];

const PRE_TOKENIZERS: &[(&[&str], PreTokenizer)] = &[
    (
        &["gpt-2", "phi-2", "mpt", "jais", "exaone4"],
        with_split(Split::Gpt2),
    ),
    (
        &["olmo"],
        PreTokenizer {
            nfc: true,
            ..with_split(Split::Gpt2)
        },
    ),
    (
        &["smollm", "starcoder", "refact", "codeshell", "exaone"],
        with_split(Split::Gpt2Digits),
    ),
    (
        &["command-r"],
        PreTokenizer {
            nfc: true,
            ..with_split(Split::Gpt2Digits)
        },
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        PreTokenizer {
            ignore_merges: true,
            add_bos: true,
            ..with_split(Split::Pattern(LLAMA3))
        },
    ),
    (
        &["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
        with_split(Split::Pattern(LLAMA3)),
    ),
    (&["seed-coder"], with_split(Split::Pattern(SEED_CODER))),
    (
        &["qwen2", "megrez"],
        PreTokenizer {
            nfc: true,
            ..with_split(Split::Pattern(QWEN2))
        },
    ),
    (
        &["deepseek-r1-qwen", "stablelm2", "hunyuan"],
        with_split(Split::Pattern(QWEN2)),
    ),
    (
        &["deepseek-v3", "hunyuan-dense"],
        with_split(Split::Patterns(DEEPSEEK_V3)),
    ),
    (&["gpt-4o", "llama4"], with_split(Split::Pattern(GPT4O))),
    (
        &["tekken"],
        PreTokenizer {
            ignore_merges: true,
            add_bos: true,
            ..with_split(Split::Pattern(TEKKEN))
        },
    ),
];

const fn with_split(split: Split) -> PreTokenizer {
    PreTokenizer {
        split,
        nfc: false,
        ignore_merges: false,
        add_bos: false,
    }
}

impl PreTokenizer {
    /// All supported names.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        PRE_TOKENIZERS.iter().flat_map(|(names, _)| *names).copied()
    }

    /// The pre-tokenizer with this name.
    pub(super) fn find(name: Option<&str>) -> Result<Self, ConvertError> {
        let Some(name) = name else {
            return Err(ConvertError::Tokenizer(
                "the file has no pre-tokenizer (tokenizer.ggml.pre), which files made before May 2024 lack: get a \
                 newer file"
                    .to_owned(),
            ));
        };
        PRE_TOKENIZERS
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, pre_tokenizer)| *pre_tokenizer)
            .ok_or_else(|| {
                ConvertError::Tokenizer(format!(
                    "its pre-tokenizer (tokenizer.ggml.pre = {name:?}) is not supported; supported are {}",
                    Self::names().collect::<Vec<_>>().join(", ")
                ))
            })
    }

    /// `normalizer` of `tokenizer.json`.
    pub(super) fn normalizer(&self) -> Value {
        if self.nfc {
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
        let patterns = |patterns: &[&str]| {
            let split = |pattern: &&str| {
                json!({
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": "Isolated",
                    "invert": false,
                })
            };
            let splits = patterns.iter().map(split).chain([bytes(false)]);
            json!({"type": "Sequence", "pretokenizers": splits.collect::<Vec<_>>()})
        };
        match self.split {
            Split::Gpt2 => bytes(true),
            Split::Gpt2Digits => json!({
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": true}, bytes(true)],
            }),
            Split::Pattern(pattern) => patterns(&[pattern]),
            Split::Patterns(all) => patterns(all),
        }
    }
}
