//! The tables as the database library sees them. Private: queries convert them to plain structs.

pub(crate) mod alias;
pub(crate) mod attachment;
pub(crate) mod attachment_content;
pub(crate) mod chat;
pub(crate) mod chat_tag;
pub(crate) mod download;
pub(crate) mod gateway;
pub(crate) mod message;
pub(crate) mod message_attachment;
pub(crate) mod persona;
pub(crate) mod profile;
pub(crate) mod prompt;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod search_document;
pub(crate) mod server;
pub(crate) mod setting;
