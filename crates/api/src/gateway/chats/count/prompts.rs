//! The prompts whose tokens are counted, as a server would make them.

use mlxm_chat::{ChatRequest, PromptRenderer};
use serde_json::{Map, Value, json};

use super::counters::{CountError, TokenCounter};
use crate::anthropic;
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::openai::messages::normalize;
use crate::openai::options::effort_variable;
use crate::wire::chats::{ChatProtocol, FileTokens};
use crate::wire::profiles::{RequestSettings, Thinking};

/// A conversation, and a message that is being written.
pub struct Draft {
    /// System prompt and thinking, among others.
    pub settings: RequestSettings,
    /// The messages of the branch, as servers understand them.
    pub history: Vec<Value>,
    /// The text of the draft without its files.
    pub text: Vec<Value>,
    /// The draft with its files.
    pub message: Vec<Value>,
    /// The hash of each file, and a message that has only this file.
    pub files: Vec<(String, Vec<Value>)>,
}

/// Tokens up to a part of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The system prompt, and what the template adds in any case.
    pub system: usize,
    /// And the history.
    pub history: usize,
    /// And the text of the draft.
    pub text: usize,
    /// Everything.
    pub total: usize,
    /// Each file without the others.
    pub files: Vec<FileTokens>,
}

impl Draft {
    /// Counts the tokens. Blocks.
    ///
    /// # Errors
    /// If the template does not render the messages, or the vocabulary does not cover their text.
    pub fn count(&self, counter: &TokenCounter) -> Result<Counts, CountError> {
        let count = |messages: &[&[Value]]| -> Result<usize, CountError> {
            let request = self.request(counter.renderer(), messages);
            let text = counter.renderer().render(&request);
            counter.count(&text.map_err(CountError::new)?)
        };
        let empty = [json!({"role": "user", "content": ""})];
        let base = count(&[&empty])?;
        let mut history = base;
        if !self.history.is_empty() {
            history = count(&[&self.history])?;
        }
        let mut text = history;
        if !self.text.is_empty() {
            text = count(&[&self.history, &self.text])?;
        }
        let mut total = text;
        if self.message != self.text {
            total = count(&[&self.history, &self.message])?;
        }
        // Without the rest of the draft, so that typing does not count them again.
        let file = |(hash, message): &(String, Vec<Value>)| {
            let tokens = count(&[message])?.saturating_sub(base);
            Ok(FileTokens {
                hash: hash.clone(),
                tokens: tokens as u64,
            })
        };
        let files = self.files.iter().map(file).collect::<Result<_, _>>()?;
        // A template may render less of a message that others follow, such as its reasoning.
        let text = text.min(total);
        let history = history.min(text);
        Ok(Counts {
            system: base.min(history),
            history,
            text,
            total,
            files,
        })
    }

    fn request(&self, renderer: &PromptRenderer, messages: &[&[Value]]) -> ChatRequest {
        let mut messages = messages.concat();
        let system_prompt = self.settings.system_prompt.as_deref();
        if let Some(text) = system_prompt.filter(|text| !text.is_empty()) {
            messages.insert(0, json!({"role": "system", "content": text}));
        }
        ChatRequest {
            messages,
            template_kwargs: self.template_kwargs(renderer),
            ..ChatRequest::default()
        }
    }

    /// The variables of the template that a server sets for these settings.
    fn template_kwargs(&self, renderer: &PromptRenderer) -> Map<String, Value> {
        let mentions = |variable: &str| renderer.template_mentions(variable);
        let variable = match &self.settings.thinking {
            None => None,
            Some(Thinking::Effort(effort)) => effort_variable(mentions, effort),
            Some(Thinking::Enabled(enabled)) => {
                mentions("enable_thinking").then(|| ("enable_thinking", (*enabled).into()))
            }
        };
        let variable = variable.map(|(name, value)| (name.to_owned(), value));
        variable.into_iter().collect()
    }
}

/// The messages of a request's body, as a server understands them.
///
/// # Errors
/// As the server's.
pub fn understood(protocol: ChatProtocol, body: &mut Value) -> Result<Vec<Value>, ApiError> {
    let messages = match body["messages"].take() {
        Value::Array(messages) if !messages.is_empty() => messages,
        _ => return Ok(Vec::new()),
    };
    let mut warnings = Warnings::default();
    match protocol {
        ChatProtocol::OpenAi => normalize(messages, &mut warnings),
        ChatProtocol::Anthropic => {
            anthropic::conversation::messages(None, &messages, &mut warnings)
        }
    }
}
