//! Why a grammar is rejected.

use crate::parsing::ToolFormat;

/// Why output cannot be constrained by a grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A keyword of a JSON schema that cannot be enforced.
    #[error("`{keyword}` at {pointer} cannot be enforced: {reason}")]
    Unsupported {
        /// The keyword.
        keyword: String,
        /// JSON pointer to it, as a fragment: `#/properties/a/not`.
        pointer: String,
        /// The reason, and an alternative.
        reason: String,
    },
    /// Not a valid JSON schema.
    #[error("the JSON schema is not valid: {problem} at {pointer}")]
    Invalid {
        /// JSON pointer to the problem, as a fragment.
        pointer: String,
        /// What is wrong.
        problem: String,
    },
    /// A JSON schema, or a part of it, that no value satisfies.
    #[error("the JSON schema is unsatisfiable: {problem} at {pointer}")]
    Unsatisfiable {
        /// JSON pointer to the problem, as a fragment.
        pointer: String,
        /// The contradiction.
        problem: String,
    },
    /// A JSON schema that is rejected as a whole.
    #[error("the JSON schema cannot be enforced: {0}")]
    Schema(String),
    /// An invalid or unsupported regular expression.
    #[error("the regular expression cannot be enforced: {0}")]
    Regex(String),
    /// An invalid or unsupported Lark grammar.
    #[error("the grammar cannot be enforced: {0}")]
    Lark(String),
    /// A limit is exceeded.
    #[error("the grammar is too large: {what}, and the limit is {limit}")]
    TooLarge {
        /// The quantity that exceeds the limit.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// No token of the model can start the output.
    #[error("the model's vocabulary has no token that can start such output")]
    NoMatchingToken,
    /// The text of the model's tokens depends on the tokens next to them.
    #[error(
        "structured output is not supported: this model's tokenizer decodes a token differently depending on the tokens next to it"
    )]
    NoTokenText,
    /// The model has no end-of-sequence token.
    #[error("structured output is not supported: the model has no end-of-sequence token")]
    NoEosToken,
    /// The vocabulary cannot be used.
    #[error("the model's vocabulary cannot be used: {0}")]
    Vocabulary(String),
    /// The tool call syntax of the model is unknown.
    #[error(
        "the tool call syntax of this model is unknown; choose one of {}",
        ToolFormat::ALL.map(ToolFormat::as_str).join(", ")
    )]
    UnknownToolFormat,
    /// The tool calls of the model have no delimiters that distinguish them from structured output.
    #[error(
        "this model writes tool calls without delimiters, so they cannot be distinguished from structured output; use one of them"
    )]
    UndelimitedToolCalls,
    /// A call is required and there are no tools.
    #[error("a call is required, but there are no tools")]
    NoTools,
    /// The named tool is not among the tools.
    #[error("there is no tool {name:?}; the tools are {}", known.join(", "))]
    UnknownTool {
        /// The given name.
        name: String,
        /// The names of the tools.
        known: Vec<String>,
    },
}
