//! The tables as the database library sees them. Private: queries convert them to plain structs.

pub(crate) mod alias;
pub(crate) mod download;
pub(crate) mod gateway;
pub(crate) mod profile;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod setting;
