//! Placeholder.

pub mod convert;
pub mod text;
