//! Log-probabilities in the formats of OpenAI's API.

use mlxm_engine::sampling::TokenLogprob;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::state::ServedModel;

/// The entry of a token in a chat completion.
pub fn chat_logprob(model: &ServedModel, logprob: &TokenLogprob) -> Value {
    let mut entry = token(model, logprob.token, logprob.logprob);
    let top = logprob
        .top
        .iter()
        .map(|(id, logprob)| token(model, *id, *logprob));
    entry["top_logprobs"] = top.collect();
    entry
}

fn token(model: &ServedModel, id: u32, logprob: f32) -> Value {
    let bytes = model.chat.token_bytes(id);
    json!({"token": String::from_utf8_lossy(&bytes), "logprob": finite(logprob), "bytes": bytes})
}

/// JSON has no negative infinity.
fn finite(logprob: f32) -> f32 {
    logprob.max(-9999.0)
}

/// Log-probabilities of a text completion: lists with an entry for each token.
#[derive(Debug, Default, Serialize)]
pub struct CompletionLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
    text_offset: Vec<usize>,
    /// Offset of the next token.
    #[serde(skip)]
    end: usize,
    /// Whether the next token starts the text, where some tokenizers drop a space.
    #[serde(skip)]
    starts_text: bool,
}

impl From<usize> for CompletionLogprobs {
    /// For tokens from this offset of the text.
    fn from(end: usize) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }
}

impl CompletionLogprobs {
    /// Adds the last tokens of a prompt. `logprobs` are those of all its tokens but the first, which has none.
    pub fn add_prompt(&mut self, model: &ServedModel, tokens: &[u32], logprobs: &[TokenLogprob]) {
        self.starts_text = model.engine.tokenizer().drops_leading_space();
        if let Some(first) = tokens.first().filter(|_| tokens.len() > logprobs.len()) {
            self.push(model, *first, None, true);
        }
        let known = logprobs.len().saturating_sub(tokens.len());
        for logprob in logprobs.iter().skip(known) {
            self.push(model, logprob.token, Some(logprob), true);
        }
    }

    /// Adds generated tokens. Their text does not contain special tokens.
    pub fn add(&mut self, model: &ServedModel, logprobs: &[TokenLogprob]) {
        for logprob in logprobs {
            let is_shown = !model.engine.tokenizer().is_special(logprob.token);
            self.push(model, logprob.token, Some(logprob), is_shown);
        }
    }

    /// Adds a token; `is_shown` says whether the text contains it.
    fn push(
        &mut self,
        model: &ServedModel,
        token: u32,
        logprob: Option<&TokenLogprob>,
        is_shown: bool,
    ) {
        let mut text = String::from_utf8_lossy(&model.chat.token_bytes(token)).into_owned();
        self.text_offset.push(self.end);
        if is_shown {
            if std::mem::take(&mut self.starts_text) && text.starts_with(' ') {
                text.remove(0);
            }
            self.end += text.chars().count();
        }
        self.tokens.push(text);
        self.token_logprobs
            .push(logprob.map(|logprob| finite(logprob.logprob)));
        self.top_logprobs.push(logprob.map(|logprob| {
            let top = logprob.top.iter().map(|(id, logprob)| {
                let text = String::from_utf8_lossy(&model.chat.token_bytes(*id)).into_owned();
                (text, Value::from(finite(*logprob)))
            });
            top.collect()
        }));
    }
}
