//! What shape an answer must have.

use serde_json::Value;

/// A shape that the text of an answer is held to.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum OutputFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that a schema allows.
    JsonSchema(Value),
    /// Text that a regular expression matches as a whole.
    Regex(String),
    /// Text that a Lark grammar derives.
    Grammar(String),
}
