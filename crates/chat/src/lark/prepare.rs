//! Preparing user-supplied grammars: the JSON schemas in them are enforced as strictly as standalone ones.

use serde_json::{Deserializer, Value};

use crate::constraint::schema::{self, Enforcement};
use crate::constraint::{GrammarError, limits};

/// The directive before a schema.
const SCHEMA: &str = "%json";

/// The grammar with its schemas prepared for llguidance.
///
/// # Errors
/// If it is too large, changes the options of llguidance, or contains a schema that is rejected.
pub(crate) fn prepare(lark: &str) -> Result<String, GrammarError> {
    let mut prepared = String::with_capacity(lark.len());
    let mut rest = lark;
    // Schemas have limits of their own.
    let mut text_bytes = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(SCHEMA) {
            let mut values = Deserializer::from_str(after).into_iter::<Value>();
            let schema = match values.next() {
                Some(Ok(schema)) => schema,
                Some(Err(error)) => return Err(missing_schema(&error.to_string())),
                None => return Err(missing_schema("the grammar ends")),
            };
            let length = values.byte_offset();
            prepared.push_str(SCHEMA);
            prepared.push(' ');
            let enforcement = match schema["x-guidance"]["lenient"] {
                Value::Bool(true) => Enforcement::BestEffort,
                _ => Enforcement::Strict,
            };
            let schema = schema::prepare(&schema, enforcement)?;
            prepared.push_str(&schema.to_string());
            rest = &after[length..];
            continue;
        }
        if rest.starts_with("%llguidance") {
            let message = "`%llguidance` is not allowed; remove it";
            return Err(GrammarError::Lark(message.into()));
        }
        let (token, after) = rest.split_at(token_length(rest));
        text_bytes += token.len();
        if text_bytes > limits::LARK_BYTES {
            return Err(GrammarError::TooLarge {
                what: format!("the grammar has more than {} bytes", limits::LARK_BYTES),
                limit: limits::LARK_BYTES,
            });
        }
        prepared.push_str(token);
        rest = after;
    }
    Ok(prepared)
}

fn missing_schema(reason: &str) -> GrammarError {
    GrammarError::Lark(format!(
        "`%json` is not followed by a JSON schema: {reason}"
    ))
}

/// Bytes of the string, regular expression, comment or character at the start of `lark`. Directives inside the first three
/// are text.
fn token_length(lark: &str) -> usize {
    let first = lark.chars().next().map_or(0, char::len_utf8);
    let closed_by = |quote: char| {
        let mut escaped = false;
        let end = lark.char_indices().skip(1).find(|&(_, character)| {
            let ends = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        end.map_or(lark.len(), |(at, quote)| at + quote.len_utf8())
    };
    if lark.starts_with("//") || lark.starts_with('#') {
        lark.find('\n').unwrap_or(lark.len())
    } else if lark.starts_with('"') {
        closed_by('"')
    } else if lark.starts_with('/') {
        closed_by('/')
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prepare_changes_only_schemas() {
        let plain = "start: \"%json\" /\\/%json\\// // %json\n# %json\n";
        assert_eq!(prepare(plain).unwrap(), plain);
        let grammar = prepare("start: \"<a>\" body\nbody: %json {\"type\": \"null\"}\n").unwrap();
        let (before, after) = grammar.split_once("%json ").unwrap();
        assert_eq!(before, "start: \"<a>\" body\nbody: ");
        assert!(after.starts_with("{\"type\":\"null\""), "{after}");
        assert!(after.ends_with("}\n"), "{after}");
    }

    #[test]
    fn prepare_rejects_schemas_and_options_that_weaken_enforcement() {
        let problem = |lark: &str| prepare(lark).unwrap_err().to_string();
        assert_eq!(
            problem("start: %json {\"items\": {\"contains\": {}}}"),
            "`contains` at #/items/contains cannot be enforced: use prefixItems or items"
        );
        let lenient = "start: %json {\"contains\": {}, \"type\": \"array\", \"x-guidance\": {\"lenient\": true}}";
        assert!(prepare(lenient).is_ok());
        assert!(problem("start: %json {").starts_with("the grammar cannot be enforced: `%json`"));
        assert!(problem("%llguidance {}\nstart: \"a\"").contains("remove it"));
        let large = json!({"description": "a".repeat(100_000)});
        assert!(prepare(&format!("start: %json {large}")).is_ok());
        assert!(problem(&" ".repeat(100_000)).starts_with("the grammar is too large"));
    }
}
