//! `tokenizer.json`, `tokenizer_config.json` and `generation_config.json` from GGUF metadata.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::GgufError;
use super::architecture::Architecture;
use super::pre_tokenizer::PreTokenizer;
use super::reader::Gguf;
use super::sentencepiece::sentencepiece;
use crate::ConvertError;

// Token types of `tokenizer.ggml.token_type`.
pub(super) const UNKNOWN: i64 = 2;
pub(super) const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
pub(super) const BYTE: i64 = 6;

/// End-of-generation tokens in addition to those in the metadata, if the chat template contains them.
const EOG_TOKENS: &[&str] = &[
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end_of_role|>",
];

/// The converted tokenizer.
pub(super) struct Tokenizer {
    /// `tokenizer.json`.
    pub(super) model: Value,
    /// `tokenizer_config.json`.
    pub(super) config: Value,
    /// Token ids: `generation_config.json`, and part of `config.json`.
    pub(super) generation: Map<String, Value>,
    pub(super) notes: Vec<String>,
}

/// The vocabulary, indexed by token id.
pub(super) struct Vocabulary<'a> {
    pub(super) tokens: Vec<&'a str>,
    pub(super) types: Vec<i64>,
}

impl<'a> Vocabulary<'a> {
    fn read(gguf: &Gguf<'a>) -> Result<Self, ConvertError> {
        let key = "tokenizer.ggml.tokens";
        let tokens = gguf
            .optional_strings(key)?
            .ok_or_else(|| GgufError::MissingKey(key.to_owned()))?;
        let types_key = "tokenizer.ggml.token_type";
        let types = gguf
            .optional_integers(types_key)?
            .unwrap_or_else(|| vec![1; tokens.len()]);
        if types.len() != tokens.len() {
            return Err(ConvertError::Tokenizer(format!(
                "{types_key} has {} items, but there are {} tokens",
                types.len(),
                tokens.len()
            )));
        }
        if let Some(id) = types.iter().position(|kind| !(0..=BYTE).contains(kind)) {
            return Err(ConvertError::Tokenizer(format!(
                "{types_key}[{id}] is {}, expected 0 to {BYTE}",
                types[id]
            )));
        }
        if let Some(rows) = gguf
            .tensor("token_embd.weight")
            .map(|tensor| tensor.shape[0])
            && rows < tokens.len()
        {
            return Err(ConvertError::Tokenizer(format!(
                "{key} has {} items, but the model has embeddings for {rows}",
                tokens.len()
            )));
        }
        Ok(Self { tokens, types })
    }

    /// The id of a special token in the metadata.
    fn special(&self, gguf: &Gguf<'_>, name: &str) -> Result<Option<u64>, ConvertError> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        // u32::MAX means that there is no such token.
        let id = gguf
            .optional_u64(&key, u64::from(u32::MAX))?
            .filter(|id| *id != u64::from(u32::MAX));
        if let Some(id) = id
            && id >= self.tokens.len() as u64
        {
            return Err(ConvertError::Tokenizer(format!(
                "{key} is {id}, but there are {} tokens",
                self.tokens.len()
            )));
        }
        Ok(id)
    }

    /// `added_tokens` of `tokenizer.json`.
    pub(super) fn added_tokens(&self) -> Vec<Value> {
        self.types
            .iter()
            .enumerate()
            .filter(|(_, kind)| matches!(**kind, UNKNOWN | CONTROL | USER_DEFINED))
            .map(|(id, kind)| {
                json!({
                    "id": id,
                    "content": self.tokens[id],
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": *kind != USER_DEFINED,
                })
            })
            .collect()
    }
}

/// Converts the tokenizer of a file.
pub(super) fn tokenizer(
    gguf: &Gguf<'_>,
    architecture: &Architecture,
) -> Result<Tokenizer, ConvertError> {
    let vocabulary = Vocabulary::read(gguf)?;
    let model = gguf.str("tokenizer.ggml.model")?;
    let (mut json, add_bos_default) = match model {
        "gpt2" => byte_level(gguf, &vocabulary)?,
        "llama" => {
            let mut json = sentencepiece(gguf, &vocabulary)?;
            if architecture.model_type == "phi3" {
                set_rstrip(&mut json);
            }
            (json, true)
        }
        other => {
            return Err(ConvertError::Tokenizer(format!(
                "its model (tokenizer.ggml.model = {other:?}) is not supported; supported are gpt2 and llama"
            )));
        }
    };
    let mut notes = Vec::new();
    let bos = vocabulary.special(gguf, "bos")?;
    let eos = vocabulary.special(gguf, "eos")?;
    let add_bos = gguf
        .optional_bool("tokenizer.ggml.add_bos_token")?
        .unwrap_or(add_bos_default);
    let add_eos = gguf
        .optional_bool("tokenizer.ggml.add_eos_token")?
        .unwrap_or(false);
    json["post_processor"] = post_processor(
        &vocabulary,
        bos.filter(|_| add_bos),
        eos.filter(|_| add_eos),
        &json["post_processor"],
    );

    let template = gguf.optional_str("tokenizer.chat_template")?;
    if template.is_none() {
        notes.push("the file has no chat template".to_owned());
    }
    let eog_tokens = eog_tokens(gguf, &vocabulary, eos, template)?;
    let mut generation = Map::new();
    let mut config = Map::new();
    config.insert(
        "tokenizer_class".to_owned(),
        json!("PreTrainedTokenizerFast"),
    );
    for (name, key) in [
        ("bos", "bos"),
        ("eos", "eos"),
        ("padding", "pad"),
        ("unknown", "unk"),
    ] {
        if let Some(id) = vocabulary.special(gguf, name)? {
            config.insert(
                format!("{key}_token"),
                json!(vocabulary.tokens[id as usize]),
            );
            if key != "unk" {
                generation.insert(format!("{key}_token_id"), json!(id));
            }
        }
    }
    if eog_tokens.len() > 1 {
        generation.insert("eos_token_id".to_owned(), json!(eog_tokens));
    }
    config.insert("add_bos_token".to_owned(), json!(add_bos && bos.is_some()));
    config.insert("add_eos_token".to_owned(), json!(add_eos && eos.is_some()));
    config.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
    let length_key = format!("{}.context_length", architecture.gguf);
    if let Some(length) = gguf.optional_u64(&length_key, u64::from(u32::MAX))? {
        config.insert("model_max_length".to_owned(), json!(length));
    }
    if let Some(template) = chat_templates(gguf, template)? {
        config.insert("chat_template".to_owned(), template);
    }
    Ok(Tokenizer {
        model: json,
        config: config.into(),
        generation,
        notes,
    })
}

/// `chat_template` of `tokenizer_config.json`: one template, or a list of named templates.
fn chat_templates(gguf: &Gguf<'_>, default: Option<&str>) -> Result<Option<Value>, ConvertError> {
    let names = gguf
        .optional_strings("tokenizer.chat_templates")?
        .unwrap_or_default();
    if names.is_empty() {
        return Ok(default.map(|template| json!(template)));
    }
    let mut templates: Vec<Value> = default
        .map(|template| json!({"name": "default", "template": template}))
        .into_iter()
        .collect();
    for name in names {
        let template = gguf.str(&format!("tokenizer.chat_template.{name}"))?;
        templates.push(json!({"name": name, "template": template}));
    }
    Ok(Some(templates.into()))
}

/// Phi 3 ignores whitespace after its special tokens.
fn set_rstrip(json: &mut Value) {
    for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
        let plain = matches!(
            token["content"].as_str(),
            Some("<unk>" | "<s>" | "<|endoftext|>")
        );
        if token["special"] == true && !plain {
            token["rstrip"] = json!(true);
        }
    }
}

/// The ids of all end-of-generation tokens.
fn eog_tokens(
    gguf: &Gguf<'_>,
    vocabulary: &Vocabulary<'_>,
    eos: Option<u64>,
    template: Option<&str>,
) -> Result<Vec<u64>, ConvertError> {
    let mut ids: Vec<u64> = eos.into_iter().collect();
    for name in ["eot", "eom"] {
        ids.extend(vocabulary.special(gguf, name)?);
    }
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        if EOG_TOKENS.contains(token) && template.is_some_and(|template| template.contains(token)) {
            ids.push(id as u64);
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// `tokenizer.json` of a byte-level byte-pair encoding, and whether it adds a beginning-of-text token by default.
fn byte_level(gguf: &Gguf<'_>, vocabulary: &Vocabulary<'_>) -> Result<(Value, bool), ConvertError> {
    let pre_tokenizer = PreTokenizer::find(gguf.optional_str("tokenizer.ggml.pre")?)?;
    let key = "tokenizer.ggml.merges";
    let merges = gguf
        .optional_strings(key)?
        .ok_or_else(|| GgufError::MissingKey(key.to_owned()))?;
    let tokens: HashSet<&str> = vocabulary.tokens.iter().copied().collect();
    let merges = merges
        .into_iter()
        .enumerate()
        .map(|(index, merge)| {
            let error = |reason: String| {
                ConvertError::Tokenizer(format!("{key}[{index}] is {merge:?}: {reason}"))
            };
            let (left, right) = merge
                .split_once(' ')
                .ok_or_else(|| error("expected two tokens with a space between".to_owned()))?;
            let merged = [left, right].concat();
            match [left, right, merged.as_str()]
                .into_iter()
                .find(|part| !tokens.contains(part))
            {
                Some(part) => Err(error(format!("{part:?} is not in tokenizer.ggml.tokens"))),
                None => Ok(json!([left, right])),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": false,
        "byte_fallback": false,
        "ignore_merges": pre_tokenizer.ignore_merges,
        "vocab": vocabulary_map(vocabulary)?,
        "merges": merges,
    });
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": vocabulary.added_tokens(),
        "normalizer": pre_tokenizer.normalizer(),
        "pre_tokenizer": pre_tokenizer.pre_tokenizer(),
        "post_processor": {
            "type": "ByteLevel",
            "add_prefix_space": true,
            "trim_offsets": false,
            "use_regex": true,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": true,
            "trim_offsets": true,
            "use_regex": true,
        },
        "model": model,
    });
    Ok((json, pre_tokenizer.add_bos))
}

/// Token to id.
///
/// # Errors
/// If two tokens have the same text.
pub(super) fn vocabulary_map(
    vocabulary: &Vocabulary<'_>,
) -> Result<Map<String, Value>, ConvertError> {
    let mut map = Map::new();
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        if let Some(other) = map.insert((*token).to_owned(), json!(id)) {
            return Err(ConvertError::Tokenizer(format!(
                "the items {other} and {id} of tokenizer.ggml.tokens are both {token:?}"
            )));
        }
    }
    Ok(map)
}

/// Adds the template for `bos` and `eos` to the post-processor `inner`.
fn post_processor(
    vocabulary: &Vocabulary<'_>,
    bos: Option<u64>,
    eos: Option<u64>,
    inner: &Value,
) -> Value {
    if bos.is_none() && eos.is_none() {
        return inner.clone();
    }
    let special =
        |id: u64| json!({"SpecialToken": {"id": vocabulary.tokens[id as usize], "type_id": 0}});
    let sequence = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    let with_special_tokens = |name: &str, type_id| {
        let bos = bos.map(special);
        let eos = eos.map(special);
        bos.into_iter()
            .chain([sequence(name, type_id)])
            .chain(eos)
            .collect::<Vec<_>>()
    };
    let tokens: Map<String, Value> = bos
        .into_iter()
        .chain(eos)
        .map(|id| {
            let token = vocabulary.tokens[id as usize];
            (
                token.to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        })
        .collect();
    let mut pair = with_special_tokens("A", 0);
    pair.extend(with_special_tokens("B", 1));
    let template = json!({
        "type": "TemplateProcessing",
        "single": with_special_tokens("A", 0),
        "pair": pair,
        "special_tokens": tokens,
    });
    if inner.is_null() {
        template
    } else {
        json!({"type": "Sequence", "processors": [inner, template]})
    }
}
