//! Files of messages, stored once per content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a model can do with an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// Text or code in UTF-8, which every model reads.
    Text,
    /// An image, which models with vision see.
    Image,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// SHA-256 of its content, in hexadecimal.
    pub hash: String,
    /// The name with which it was added first.
    pub name: String,
    /// Its type, such as `text/plain`.
    pub media_type: String,
    /// What a model can do with it.
    pub kind: AttachmentKind,
    /// Its size.
    pub size_bytes: u64,
    /// When it was added first.
    pub created_at_ms: i64,
}

/// A file to store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAttachment {
    /// Its name.
    pub name: String,
    /// Its type. If absent, it is taken from the content and the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its content in base64.
    pub data: String,
    /// Whether it is for a temporary chat: it is in memory only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_temporary: bool,
}

/// Stored files, and how much space they have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachmentList {
    /// The files, newest first.
    pub attachments: Vec<Attachment>,
    /// Their size together.
    pub total_bytes: u64,
    /// Most that they may have together.
    pub limit_bytes: u64,
    /// Largest file.
    pub file_limit_bytes: u64,
}
