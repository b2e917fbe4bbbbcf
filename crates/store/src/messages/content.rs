//! What a message contains, stored as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Between the texts of two parts.
const SEPARATOR: &str = "\n\n";

/// The text of a message from the texts of its parts, as prompts have it.
pub fn join_texts(texts: &[&str]) -> String {
    texts.join(SEPARATOR)
}

/// What a message contains. A run replaces it with each snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageBody {
    /// Text and attachments, in their order.
    pub content: Vec<Part>,
    /// What the model reasoned before.
    pub reasoning: Option<String>,
    /// Calls of tools, in the order of their index.
    pub tool_calls: Vec<ToolCall>,
    /// Why the run ended, such as "stop".
    pub finish_reason: Option<String>,
    /// Why the run failed, in the format of the API.
    pub problem: Option<Value>,
    /// Tokens and times so far.
    pub usage: Option<Usage>,
    /// What is needed to compute the response again, in the format of the API.
    pub receipt: Option<Value>,
}

impl MessageBody {
    /// A body with one part of text.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self {
            content: vec![Part::Text { text: text.into() }],
            ..Self::default()
        }
    }

    /// The text of all parts without the attachments.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text { text } => Some(text.as_str()),
                Part::Attachment { .. } => None,
            })
            .collect();
        join_texts(&texts)
    }

    /// The attachments among its parts, each once.
    pub(crate) fn attachments(&self) -> BTreeSet<&str> {
        self.content
            .iter()
            .filter_map(|part| match part {
                Part::Attachment { hash, .. } => Some(hash.as_str()),
                Part::Text { .. } => None,
            })
            .collect()
    }

    /// What a search finds: its texts, and the names of its attachments.
    pub(crate) fn search_text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .map(|part| match part {
                Part::Text { text } => text.as_str(),
                Part::Attachment { name, .. } => name.as_str(),
            })
            .collect();
        texts.join("\n")
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An attachment, by reference.
    Attachment {
        /// SHA-256 of its content, in lower-case hexadecimal.
        hash: String,
        /// Name of the file.
        name: String,
        /// Its type, such as "text/plain".
        media_type: String,
        /// Its size.
        size_bytes: u64,
    },
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id, as the model or the protocol chose it.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The arguments as the model wrote them: JSON once the call is complete.
    pub arguments: String,
}

/// Tokens and times of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: u64,
    /// Generated tokens.
    pub completion_tokens: u64,
    /// Of these, pieces of reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Milliseconds from the start of the run until a server had it.
    pub queue_ms: u64,
    /// Milliseconds from then to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_ms: Option<u64>,
    /// Milliseconds of reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_ms: Option<u64>,
    /// Milliseconds from the start of the run to its end.
    pub duration_ms: u64,
}
