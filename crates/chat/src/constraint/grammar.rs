//! What can be asked of an answer.

use serde_json::Value;

/// The form of an answer.
///
/// JSON is compact: nothing but one optional space after each comma and colon, so that no model can lose itself in white
/// space. Properties come in the order in which the schema names them.
#[derive(Debug, Clone, PartialEq)]
pub enum Grammar {
    /// Any JSON object.
    JsonObject,
    /// JSON that fulfils this schema.
    JsonSchema(Value),
    /// Text that this regular expression matches from beginning to end. The syntax is that of the `regex` crate, without
    /// what looks around.
    Regex(String),
    /// Text that this grammar derives from its rule `start`. The syntax is that of Lark with the changes that llguidance
    /// documents: `%json {...}` stands for JSON that fulfils a schema, `<name>` and `<[id]>` for special tokens, which are
    /// not part of the text. A schema with `"x-guidance": {"lenient": true}` is enforced as far as it can be: what would be
    /// refused is left to the model. That is for tool calls, which have to be calls before anything else.
    Lark(String),
}
