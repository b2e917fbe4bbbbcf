//! Conversations.
//!
//! # Routes of chats
//! | route | request | response |
//! |---|---|---|
//! | `GET /api/chats` | [`ChatFilter`] | [`ChatPage`] |
//! | `POST /api/chats` | [`NewChat`] | 201 [`Chat`] |
//! | `GET /api/chats/{id}` | | [`ChatDetail`] |
//! | `PATCH /api/chats/{id}` | [`ChatChanges`] | [`Chat`] |
//! | `DELETE /api/chats/{id}` | | 204; stops its runs, and can be undone for 30 days |
//! | `POST /api/chats/{id}/restore` | | [`Chat`] |
//! | `GET /api/chats/{id}/export?format=` | [`ChatExportQuery`] | [`ChatExport`], or `text/markdown` |
//! | `POST /api/chats/import` | [`ChatExport`] | 201 [`Chat`], a new one |
//! | `POST /api/chats/{id}/leaf` | [`LeafRequest`] | [`Chat`] |
//! | `POST /api/chats/{id}/fork` | [`ForkRequest`] | 201 [`Chat`], a new one |
//! | `DELETE /api/chats/{id}/messages/{message}` | | [`MessagesDeleted`]; with all that follow it |
//! | `POST /api/chats/{id}/messages/restore` | [`RestoreMessages`] | [`MessageList`] |
//! | `POST /api/chats/count` | [`CountRequest`] | [`TokenCount`] |
//!
//! # Routes of runs ([`messages`](super::messages), [`runs`](super::runs))
//! | route | request | response |
//! |---|---|---|
//! | `POST /api/chats/{id}/messages` | [`SendMessage`](super::messages::SendMessage) | 202 [`RunStarted`](super::runs::RunStarted) |
//! | `PATCH /api/chats/{id}/messages/{message}` | [`EditMessage`](super::messages::EditMessage) | 202 [`RunStarted`](super::runs::RunStarted), or 200 [`Message`] without a run |
//! | `POST /api/chats/{id}/messages/{message}/regenerate` | [`RunOptions`](super::runs::RunOptions) | 202 [`RunStarted`](super::runs::RunStarted) |
//! | `POST /api/chats/{id}/messages/{message}/continue` | [`RunOptions`](super::runs::RunOptions) | 202 [`RunStarted`](super::runs::RunStarted) |
//! | `GET /api/runs/{id}` | | [`RunSnapshot`](super::runs::RunSnapshot) |
//! | `POST /api/runs/{id}/stop` | | [`RunSnapshot`](super::runs::RunSnapshot) |
//! | `POST /api/runs/{id}/reproduce` | | [`Reproduction`](super::runs::Reproduction) |
//!
//! # Routes of attachments, personas and prompts ([`attachments`](super::attachments), [`library`](super::library))
//! | route | request | response |
//! |---|---|---|
//! | `GET /api/attachments` | | [`AttachmentList`](super::attachments::AttachmentList) |
//! | `POST /api/attachments` | [`NewAttachment`] | 201 [`Attachment`](super::attachments::Attachment) |
//! | `GET /api/attachments/{hash}` | | the bytes, with their type |
//! | `GET`, `POST /api/personas` | [`PersonaConfig`](super::library::PersonaConfig) | [`PersonaList`](super::library::PersonaList), 201 [`Persona`](super::library::Persona) |
//! | `GET`, `PUT`, `DELETE /api/personas/{id}` | [`PersonaConfig`](super::library::PersonaConfig) | [`Persona`](super::library::Persona), 204 |
//! | `GET`, `POST /api/prompts` | [`PromptConfig`](super::library::PromptConfig) | [`PromptList`](super::library::PromptList), 201 [`Prompt`](super::library::Prompt) |
//! | `GET`, `PUT`, `DELETE /api/prompts/{id}` | [`PromptConfig`](super::library::PromptConfig) | [`Prompt`](super::library::Prompt), 204 |
//!
//! # Events
//! Topic `chats` has [`ChatsEvent`]s: what a list of chats shows. Topic `chat:{id}` has [`ChatEvent`]s: messages and runs of
//! one chat. To attach to a chat, read it and then open `/api/events` with its [`ChatDetail::last_event_id`], or open the
//! stream first; in both cases drop events of a run whose `seq` is not greater than the one in [`ChatDetail::runs`].

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::attachments::NewAttachment;
use super::change::Change;
use super::messages::{Message, NewPart};
use super::profiles::RequestSettings;
use super::runs::{Run, RunEvent};
use super::union::{uuid, with_fields};

/// The API that a run uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatProtocol {
    /// `/v1/chat/completions`.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
}

/// A conversation, without its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Chat {
    /// Its id.
    pub id: Uuid,
    /// Its title. The gateway sets it from the first message if a user has not.
    pub title: String,
    /// Name of the model or profile that the next run uses; null if the user has not chosen one.
    pub model: Option<String>,
    /// The API that the next run uses.
    pub protocol: ChatProtocol,
    /// The persona; null without one.
    pub persona_id: Option<Uuid>,
    /// The system prompt; null for that of the persona, or else of the profile.
    pub system_prompt: Option<String>,
    /// Settings of requests, which have priority over those of the persona and the profile.
    pub settings: RequestSettings,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Whether it comes first in lists.
    pub is_pinned: bool,
    /// Whether it is in memory only: in no list and no search, and lost when the gateway exits.
    pub is_temporary: bool,
    /// The last message of the branch that is open; null without messages.
    pub leaf_id: Option<Uuid>,
    /// Messages of all branches.
    pub message_count: u64,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last message: lists are in this order.
    pub updated_at_ms: i64,
    /// When it was deleted; null if it was not.
    pub deleted_at_ms: Option<i64>,
}

/// A conversation with all branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatDetail {
    /// The conversation.
    pub chat: Chat,
    /// The messages of all branches, oldest first, so that a message comes after its parent. A response in progress has the
    /// text up to the `seq` of its run.
    pub messages: Vec<Message>,
    /// The runs in progress.
    pub runs: Vec<Run>,
    /// The id with which `/api/events` continues without a gap.
    pub last_event_id: String,
}

/// Which chats. Pinned ones come first, then those with the latest messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChatFilter {
    /// Words in titles and messages: all of them, and the last may be the beginning of a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Chats with this model or profile, by its exact name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Chats with the profiles and the model of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Uuid>,
    /// Chats with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only pinned chats, or only the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Only deleted chats, which can be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Maximum number of chats: 50 if absent, at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A chat of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatEntry {
    /// The chat.
    pub chat: Chat,
    /// Where the words of a search were found; null without a search, and if they are only in the title.
    pub found: Option<FoundText>,
}

/// Where the words of a search were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundText {
    /// The message.
    pub message: Uuid,
    /// The words with some text before and after them.
    pub parts: Vec<FoundPart>,
}

/// A piece of text around words that were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundPart {
    /// The text.
    pub text: String,
    /// Whether it is a word of the search.
    pub is_match: bool,
}

/// A page of chats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatPage {
    /// The chats.
    pub chats: Vec<ChatEntry>,
    /// `after` of the next page; null on the last.
    pub next: Option<String>,
    /// The tags of all chats that are not deleted, sorted.
    pub tags: Vec<String>,
}

/// A chat to create.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewChat {
    /// Its title; made from the first message if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Name of a model or profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The API that runs use.
    pub protocol: ChatProtocol,
    /// A persona.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona_id: Option<Uuid>,
    /// The system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Settings of requests.
    pub settings: RequestSettings,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it comes first in lists.
    pub is_pinned: bool,
    /// Whether it is in memory only: in no list and no search, and lost when the gateway exits.
    pub is_temporary: bool,
}

/// Changes of a chat. What is absent stays as it is, and null removes what can be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChatChanges {
    /// Its title; null to have it made from the first message.
    #[serde(skip_serializing_if = "Change::is_keep")]
    #[schema(value_type = Option<String>)]
    pub title: Change<String>,
    /// Name of a model or profile.
    #[serde(skip_serializing_if = "Change::is_keep")]
    #[schema(value_type = Option<String>)]
    pub model: Change<String>,
    /// The API that the next run uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ChatProtocol>,
    /// The persona.
    #[serde(skip_serializing_if = "Change::is_keep")]
    #[schema(value_type = Option<Uuid>)]
    pub persona_id: Change<Uuid>,
    /// The system prompt.
    #[serde(skip_serializing_if = "Change::is_keep")]
    #[schema(value_type = Option<String>)]
    pub system_prompt: Change<String>,
    /// All settings of requests, in place of the previous ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<RequestSettings>,
    /// All tags, in place of the previous ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it comes first in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_pinned: Option<bool>,
}

/// The branch to show: the one that ends with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeafRequest {
    /// A message without children; from one with children, the newest branch after it is opened.
    pub message: Uuid,
}

/// A new chat with the messages up to one of another chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// The last message of the new chat.
    pub message: Uuid,
}

/// Messages that were deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagesDeleted {
    /// Their ids, with which they are restored.
    pub messages: Vec<Uuid>,
    /// The branch that is open now.
    pub leaf_id: Option<Uuid>,
}

/// Deleted messages to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreMessages {
    /// Their ids.
    pub messages: Vec<Uuid>,
}

/// Messages, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageList {
    /// The messages.
    pub messages: Vec<Message>,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatExportFormat {
    /// All branches, to import it again.
    #[default]
    Json,
    /// The open branch, to read it.
    Markdown,
}

/// How to export a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChatExportQuery {
    /// JSON if absent.
    #[param(inline)]
    pub format: ChatExportFormat,
}

/// A chat as a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatExport {
    /// The version of this format: 1.
    pub version: u32,
    /// The chat.
    pub chat: Chat,
    /// The messages of all branches, oldest first.
    pub messages: Vec<Message>,
    /// What the messages refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<NewAttachment>,
}

/// What a request would have, to count its tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CountRequest {
    /// The chat; none for the first message of a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<Uuid>,
    /// The last message of the history; the open branch if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<Uuid>,
    /// Name of a model or profile; that of the chat if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The system prompt; that of the chat if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The message that is being written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub draft: Vec<NewPart>,
}

/// Tokens of a request, exactly as its server would count them. The parts have `total` as their sum; tokens of the chat
/// template belong to the message that they mark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCount {
    /// The whole prompt.
    pub total: u64,
    /// The system prompt, and what the template adds in any case.
    pub system: u64,
    /// The messages of the branch.
    pub history: u64,
    /// Attachments of the draft.
    pub attachments: u64,
    /// Each attachment of the draft, in its order.
    pub files: Vec<FileTokens>,
    /// The text of the draft.
    pub draft: u64,
    /// Tokens, prompt and completion together, that the server has, or would have if it were started now; null if unknown.
    pub context_length: Option<u64>,
    /// Most tokens of the completion, where a limit is set.
    pub max_tokens: Option<u64>,
}

/// Tokens of an attachment, counted as if it were the only part of a message. Together with other parts it may have a few more or
/// less, where its text touches theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileTokens {
    /// SHA-256 of the content, as in the draft.
    pub hash: String,
    /// Its tokens.
    pub tokens: u64,
}

/// A change of the chats, as lists show them. Temporary chats have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatsEvent {
    /// It was added, changed or restored.
    Changed {
        /// The chat.
        chat: Box<Chat>,
    },
    /// It was deleted.
    Removed {
        /// Its id.
        id: Uuid,
    },
}

/// A change of one chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatEvent {
    /// The chat. Its changes have a field `chat`, too.
    #[serde(rename = "id")]
    pub chat: Uuid,
    /// What has changed.
    #[serde(flatten)]
    pub change: ChatChange,
}

impl utoipa::PartialSchema for ChatEvent {
    fn schema() -> RefOr<Schema> {
        let changes = <ChatChange as utoipa::PartialSchema>::schema();
        with_fields(changes, "A change of one chat.", &[("id", uuid())])
    }
}

impl ToSchema for ChatEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ChatChange::schemas(schemas);
    }
}

/// What has changed in a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatChange {
    /// Messages were added or restored, or a response has ended. They replace those with the same ids.
    Messages {
        /// The messages, oldest first.
        messages: Vec<Message>,
    },
    /// Messages were deleted.
    Removed {
        /// Their ids.
        messages: Vec<Uuid>,
    },
    /// The chat itself changed: its title, model, open branch.
    Changed {
        /// The chat.
        chat: Box<Chat>,
    },
    /// The chat was deleted.
    Deleted,
    /// A run has begun. Its events follow.
    Started {
        /// The run, with `seq` 0.
        run: Box<Run>,
    },
    /// An event of a run.
    Run {
        /// The event.
        event: RunEvent,
    },
}
