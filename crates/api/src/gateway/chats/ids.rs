//! Ids in paths. A text that is not an id names nothing, which is a 404.

use mlxm_store::Uuid;

use crate::gateway::problem::{ApiProblem, Code};

/// The id of a chat.
pub fn chat(text: &str) -> Result<Uuid, ApiProblem> {
    parse(text, "a chat", Code::CHAT_NOT_FOUND)
}

/// The id of a message.
pub fn message(text: &str) -> Result<Uuid, ApiProblem> {
    parse(text, "a message", Code::MESSAGE_NOT_FOUND)
}

/// The id of a persona.
pub fn persona(text: &str) -> Result<Uuid, ApiProblem> {
    parse(text, "a persona", Code::PERSONA_NOT_FOUND)
}

/// The id of a prompt.
pub fn prompt(text: &str) -> Result<Uuid, ApiProblem> {
    parse(text, "a prompt", Code::PROMPT_NOT_FOUND)
}

/// The id of a run.
pub fn run(text: &str) -> Result<Uuid, ApiProblem> {
    parse(text, "a run", Code::RUN_NOT_FOUND)
}

fn parse(text: &str, noun: &str, code: Code) -> Result<Uuid, ApiProblem> {
    Uuid::try_parse(text)
        .map_err(|_| ApiProblem::new(code, format!("`{text}` is not the id of {noun}")))
}
