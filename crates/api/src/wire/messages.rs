//! Messages of chats. They form a tree: a message has a parent, and siblings are alternatives.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Problem;
use super::change::Change;
use super::runs::{FinishReason, Receipt, RunOptions, Usage};

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// Whether a message is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// A run is writing it.
    Running,
    /// It is complete.
    Complete,
    /// A user stopped the run.
    Stopped,
    /// The gateway exited during the run. At most the last 500 ms of text are missing.
    Interrupted,
    /// The run failed; `problem` says why.
    Failed,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id. A later message has a greater one.
    pub id: Uuid,
    /// The message before it; null for the first of a branch.
    pub parent_id: Option<Uuid>,
    /// Who wrote it.
    pub role: MessageRole,
    /// What it consists of.
    pub content: Vec<Part>,
    /// What the model thought before.
    pub reasoning: Option<String>,
    /// Tools that the model calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Whether it is complete.
    pub state: MessageState,
    /// Why a response ended; null while a run is writing it, and for messages of users.
    pub finish_reason: Option<FinishReason>,
    /// Why the run failed.
    pub problem: Option<Box<Problem>>,
    /// The model that wrote it, as the request named it; null for messages of users.
    pub model: Option<String>,
    /// The last run that wrote it; null for messages of users.
    pub run: Option<Uuid>,
    /// Tokens and times of the response, once it has ended. If the gateway was killed, those up to the end of its text.
    pub usage: Option<Usage>,
    /// What is needed to compute the response again; null for messages of users, and before the server is ready. A copy in a fork
    /// or an import has that of the original, and no run that could be computed again.
    pub receipt: Option<Box<Receipt>>,
    /// Creation time.
    pub created_at_ms: i64,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A file that is stored in the gateway.
    Attachment {
        /// SHA-256 of its content, in hexadecimal.
        hash: String,
        /// Its name.
        name: String,
        /// Its type, such as `text/plain`.
        media_type: String,
        /// Its size.
        size_bytes: u64,
    },
}

/// A part of a message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A file that was added with `POST /api/attachments`.
    Attachment {
        /// SHA-256 of its content, in hexadecimal.
        hash: String,
        /// Its name in this message; the one with which it was added if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

/// A tool that a model calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolCall {
    /// Its id.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The arguments, as the model wrote them: JSON once the call is complete.
    pub arguments: String,
}

/// A message to send, to which a run responds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// What it consists of.
    pub content: Vec<NewPart>,
    /// The message before it: that of the open branch if absent, and null for a new first message.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    #[schema(value_type = Option<Uuid>)]
    pub parent_id: Change<Uuid>,
    /// A text that is new for each message. A request that is sent again with the same key gets the first response again, and
    /// the message is stored once. It belongs to the chat: in another one it is a 409.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// How the run differs from what the chat sets.
    #[serde(default)]
    pub options: RunOptions,
}

/// Another version of a message, as its sibling. For a message of the user a run responds to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// What it consists of. A response has only text.
    pub content: Vec<NewPart>,
    /// As in [`SendMessage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// How the run differs from what the chat sets.
    #[serde(default)]
    pub options: RunOptions,
}
