//! Grammars that output can be constrained to.

use serde_json::Value;

/// What output must match.
///
/// JSON is compact: the only white space is one optional space after each comma and colon, because models can generate
/// endless white space. Properties are in the order of the schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Grammar {
    /// Any JSON object.
    JsonObject,
    /// JSON that is valid under this schema.
    JsonSchema(Value),
    /// Text that this regular expression matches from start to end, in the syntax of the `regex` crate without look-around.
    Regex(String),
    /// JSON that is valid under this schema as far as it can be enforced: other keywords are ignored.
    LenientJsonSchema(Value),
    /// Text that the rule `start` of this grammar derives, in the Lark dialect of llguidance: `%json {...}` stands for JSON that
    /// is valid under a schema, `<name>` and `<[id]>` for special tokens, which are not a part of the text. A schema with
    /// `"x-guidance": {"lenient": true}` is enforced as far as possible: unsupported keywords are ignored. Forced tool calls
    /// use it, because an unsupported keyword must not prevent the call.
    Lark(String),
    /// Text of a Lark grammar that refers to another grammar as `@content`, for example after reasoning.
    Around {
        /// The Lark grammar.
        lark: String,
        /// The grammar that `@content` stands for.
        content: Box<Grammar>,
    },
}
