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
    /// Adds the first token of a prompt, which has no log-probability.
    pub fn add_first(&mut self, model: &ServedModel, token: Option<u32>) {
        if let Some(token) = token {
            self.starts_text = model.engine.tokenizer().drops_leading_space();
            self.push(model, token, None, None);
        }
    }

    /// Adds tokens.
    pub fn add(&mut self, model: &ServedModel, logprobs: &[TokenLogprob]) {
        for logprob in logprobs {
            let top = logprob.top.iter().map(|(id, logprob)| {
                let text = String::from_utf8_lossy(&model.chat.token_bytes(*id)).into_owned();
                (text, Value::from(finite(*logprob)))
            });
            let (top, own) = (top.collect(), finite(logprob.logprob));
            self.push(model, logprob.token, Some(own), Some(top));
        }
    }

    fn push(
        &mut self,
        model: &ServedModel,
        token: u32,
        logprob: Option<f32>,
        top: Option<Map<String, Value>>,
    ) {
        let mut text = String::from_utf8_lossy(&model.chat.token_bytes(token)).into_owned();
        self.text_offset.push(self.end);
        // The text does not contain special tokens.
        if !model.engine.tokenizer().is_special(token) {
            if std::mem::take(&mut self.starts_text) && text.starts_with(' ') {
                text.remove(0);
            }
            self.end += text.chars().count();
        }
        self.tokens.push(text);
        self.token_logprobs.push(logprob);
        self.top_logprobs.push(top);
    }
}
