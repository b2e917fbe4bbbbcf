//! Messages as the chat template can read them.

pub(crate) mod cache_busting;
pub(crate) mod system_messages;
pub(crate) mod tool_prompt;
