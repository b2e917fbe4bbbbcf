//! Why a grammar is refused.

/// Why no answer can be held to a grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A keyword of a JSON schema whose meaning cannot be guaranteed.
    #[error("`{keyword}` at {pointer} cannot be enforced: {reason}")]
    Unsupported {
        /// The keyword.
        keyword: String,
        /// JSON pointer to it, as a fragment: `#/properties/a/not`.
        pointer: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A JSON schema that is none.
    #[error("the JSON schema is not valid: {problem} at {pointer}")]
    Invalid {
        /// JSON pointer to the place, as a fragment.
        pointer: String,
        /// What is wrong there.
        problem: String,
    },
    /// A JSON schema, or a part of it, that no value fulfils.
    #[error("nothing fulfils the JSON schema: {problem} at {pointer}")]
    Impossible {
        /// JSON pointer to the place, as a fragment.
        pointer: String,
        /// The contradiction.
        problem: String,
    },
    /// A JSON schema that is refused as a whole.
    #[error("the JSON schema cannot be enforced: {0}")]
    Schema(String),
    /// A regular expression that is refused.
    #[error("the regular expression cannot be enforced: {0}")]
    Regex(String),
    /// A Lark grammar that is refused.
    #[error("the grammar cannot be enforced: {0}")]
    Lark(String),
    /// Too much to work through.
    #[error("the grammar is too large: {what}, and the limit is {limit}")]
    TooLarge {
        /// What there is too much of, with its amount.
        what: String,
        /// How much may be.
        limit: usize,
    },
    /// The model's vocabulary cannot spell any answer.
    #[error("the model's vocabulary has no tokens for any beginning of such an answer")]
    CannotSpell,
    /// The tokens of the model have no text of their own.
    #[error(
        "this model's tokenizer writes a token differently depending on its neighbours, so its answers cannot be held to a form"
    )]
    NoTokenText,
    /// The model has no token to end an answer with.
    #[error("the model has no end-of-sequence token, so an answer held to a form could not end")]
    NoEnd,
    /// The vocabulary cannot be used.
    #[error("the model's vocabulary cannot be used: {0}")]
    Vocabulary(String),
}
