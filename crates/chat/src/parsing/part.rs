//! What an answer is made of.

/// A piece of an answer. Pieces of the same kind that follow each other belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What the model says to itself.
    Reasoning(String),
    /// What it says to the person.
    Content(String),
    /// A call begins.
    ToolCall {
        /// Place of the call in the answer, from 0.
        index: usize,
        /// Name of one of the given tools.
        name: String,
    },
    /// More of a call's arguments.
    Arguments {
        /// Place of the call in the answer.
        index: usize,
        /// A piece of JSON text.
        delta: String,
    },
}
