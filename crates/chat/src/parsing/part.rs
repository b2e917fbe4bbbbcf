//! Parts of parsed output.

/// A piece of parsed output. Consecutive pieces of the same kind belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Reasoning text.
    Reasoning(String),
    /// Message text.
    Content(String),
    /// A tool call. Its arguments follow.
    ToolCall {
        /// Index of the call in the completion, from 0.
        index: usize,
        /// Name of one of the given tools.
        name: String,
    },
    /// The arguments of a tool call.
    Arguments {
        /// Index of the call in the completion.
        index: usize,
        /// A JSON object.
        delta: String,
    },
}
