//! The special tokens that `tokenizer_config.json` and `special_tokens_map.json` declare.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// The roles that every tokenizer may have, in the order of transformers.
const STANDARD_ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Special tokens by role (`bos_token`, `eos_token`, ..., and roles a model adds, such as `image_token`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    named: Vec<(String, String)>,
    extra: Vec<String>,
}

impl<N: Into<String>, T: Into<String>> FromIterator<(N, T)> for SpecialTokens {
    /// From names such as `eos_token` and their texts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(tokens: I) -> Self {
        let named = tokens.into_iter();
        Self {
            named: named
                .map(|(name, text)| (name.into(), text.into()))
                .collect(),
            extra: Vec::new(),
        }
    }
}

impl SpecialTokens {
    /// Merges `tokenizer_config.json` with `special_tokens_map.json`.
    ///
    /// As in transformers, the second file is only used if the config has no `added_tokens_decoder`, and then overrides it.
    pub(super) fn from_config(
        config: &Map<String, Value>,
        special_tokens_map: &Map<String, Value>,
    ) -> Self {
        let mut roles = config.clone();
        if !config.contains_key("added_tokens_decoder") {
            roles.extend(
                special_tokens_map
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        let mut special = Self::default();
        for name in STANDARD_ROLES {
            if let Some(content) = roles.get(name).and_then(token_content) {
                special.named.push((name.to_owned(), content.to_owned()));
            }
        }
        for (name, value) in &roles {
            if name.ends_with("_token")
                && !STANDARD_ROLES.contains(&name.as_str())
                && let Some(content) = token_content(value)
            {
                special.named.push((name.clone(), content.to_owned()));
            }
        }
        let extra = ["extra_special_tokens", "additional_special_tokens"]
            .into_iter()
            .find_map(|key| roles.get(key).filter(|value| !is_empty(value)));
        match extra {
            Some(Value::Array(tokens)) => {
                special.extra = tokens
                    .iter()
                    .filter_map(token_content)
                    .map(str::to_owned)
                    .collect();
            }
            Some(Value::Object(tokens)) => {
                for (name, value) in tokens {
                    if let Some(content) = token_content(value) {
                        special.named.retain(|(known, _)| known != name);
                        special.named.push((name.clone(), content.to_owned()));
                    }
                }
            }
            _ => {}
        }
        special
    }

    /// The token with this role (`"bos_token"`, ...), if the checkpoint has one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, content)| content.as_str())
    }

    /// All roles with their tokens, as chat templates use them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_str()))
    }

    /// All special tokens, with and without roles.
    pub(super) fn contents(&self) -> impl Iterator<Item = &str> {
        self.named
            .iter()
            .map(|(_, content)| content.as_str())
            .chain(self.extra.iter().map(String::as_str))
    }
}

/// The tokens in `added_tokens_decoder` of `tokenizer_config.json`, by id.
pub(super) fn added_tokens(config: &Map<String, Value>) -> Vec<AddedToken> {
    let Some(Value::Object(entries)) = config.get("added_tokens_decoder") else {
        return Vec::new();
    };
    let mut tokens: Vec<(u32, AddedToken)> = entries
        .iter()
        .filter_map(|(id, entry)| {
            let flag = |name: &str| entry.get(name).and_then(Value::as_bool);
            let special = flag("special").unwrap_or(false);
            let token = AddedToken::from(token_content(entry)?, special)
                .single_word(flag("single_word").unwrap_or(false))
                .lstrip(flag("lstrip").unwrap_or(false))
                .rstrip(flag("rstrip").unwrap_or(false))
                .normalized(flag("normalized").unwrap_or(!special));
            Some((id.parse().ok()?, token))
        })
        .collect();
    tokens.sort_by_key(|(id, _)| *id);
    tokens.into_iter().map(|(_, token)| token).collect()
}

fn token_content(value: &Value) -> Option<&str> {
    match value {
        Value::String(content) => Some(content),
        Value::Object(fields) => fields.get("content").and_then(Value::as_str),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
