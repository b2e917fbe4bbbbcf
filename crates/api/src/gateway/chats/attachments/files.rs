//! The files among the parts of messages.

use mlxm_store::attachments;
use mlxm_store::messages::Part;

use super::{find, kind_of};
use crate::gateway::chats::OWNER;
use crate::gateway::chats::stores::ChatStores;
use crate::gateway::problem::ApiProblem;
use crate::wire::attachments::AttachmentKind;

/// A file that a message refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePart<'a> {
    /// SHA-256 of its content, in hexadecimal.
    pub hash: &'a str,
    /// Its name in the message.
    pub name: &'a str,
    /// Its type.
    pub media_type: &'a str,
}

/// The files among parts, in their order.
pub fn files_of(parts: &[Part]) -> impl Iterator<Item = FilePart<'_>> {
    parts.iter().filter_map(FilePart::of)
}

impl<'a> FilePart<'a> {
    /// A part that is a file.
    pub fn of(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text { .. } => None,
            Part::Attachment {
                hash,
                name,
                media_type,
                ..
            } => Some(Self {
                hash,
                name,
                media_type,
            }),
        }
    }

    /// What a model can do with it.
    pub fn kind(&self) -> AttachmentKind {
        kind_of(self.media_type)
    }

    /// Its content: that of the database, or of a temporary chat.
    ///
    /// # Errors
    /// If it is not stored, or the database fails.
    pub async fn content(&self, stores: &ChatStores) -> Result<Vec<u8>, ApiProblem> {
        let (store, _) = find(stores, self.hash).await?;
        Ok(attachments::content(store, OWNER, self.hash).await?)
    }

    /// Its content as text.
    ///
    /// # Errors
    /// As [`Self::content`].
    pub async fn text(&self, stores: &ChatStores) -> Result<String, ApiProblem> {
        let content = self.content(stores).await?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }
}
