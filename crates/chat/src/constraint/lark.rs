//! Grammars in Lark's syntax: the JSON schemas in them are held to the same promise as those that stand alone.

use serde_json::{Deserializer, Value};

use crate::constraint::error::GrammarError;
use crate::constraint::schema::Enforcement;
use crate::constraint::{limits, schema};

/// What a schema follows.
const SCHEMA: &str = "%json";

/// The grammar with its schemas prepared for the parser.
///
/// # Errors
/// When it is too large, changes how the parser works, or has a schema in it that is refused.
pub(crate) fn prepare(lark: &str) -> Result<String, GrammarError> {
    if lark.len() > limits::LARK_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the grammar has {} bytes", lark.len()),
            limit: limits::LARK_BYTES,
        });
    }
    let mut prepared = String::with_capacity(lark.len());
    let mut rest = lark;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(SCHEMA) {
            let mut values = Deserializer::from_str(after).into_iter::<Value>();
            let schema = match values.next() {
                Some(Ok(schema)) => schema,
                Some(Err(error)) => return Err(no_schema(&error.to_string())),
                None => return Err(no_schema("nothing follows it")),
            };
            let length = values.byte_offset();
            prepared.push_str(SCHEMA);
            prepared.push(' ');
            let enforcement = match schema["x-guidance"]["lenient"] {
                Value::Bool(true) => Enforcement::Best,
                _ => Enforcement::Whole,
            };
            let schema = schema::prepare(&schema, enforcement)?;
            prepared.push_str(&schema.to_string());
            rest = &after[length..];
            continue;
        }
        if rest.starts_with("%llguidance") {
            let message = "`%llguidance` changes how answers are checked; leave it out";
            return Err(GrammarError::Lark(message.into()));
        }
        let (piece, after) = rest.split_at(piece_length(rest));
        prepared.push_str(piece);
        rest = after;
    }
    Ok(prepared)
}

fn no_schema(reason: &str) -> GrammarError {
    GrammarError::Lark(format!(
        "`%json` is not followed by a JSON schema: {reason}"
    ))
}

/// Bytes of the text, expression, comment or character that `lark` begins with. Only outside of the first three is a
/// directive one.
fn piece_length(lark: &str) -> usize {
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
    use super::*;

    #[test]
    fn schemas_are_prepared_and_the_rest_stays() {
        let plain = "start: \"%json\" /\\/%json\\// // %json\n# %json\n";
        assert_eq!(prepare(plain).unwrap(), plain);
        let grammar = prepare("start: \"<a>\" body\nbody: %json {\"type\": \"null\"}\n").unwrap();
        let (before, after) = grammar.split_once("%json ").unwrap();
        assert_eq!(before, "start: \"<a>\" body\nbody: ");
        assert!(after.starts_with("{\"type\":\"null\""), "{after}");
        assert!(after.ends_with("}\n"), "{after}");
    }

    #[test]
    fn what_would_get_around_the_promise_is_refused() {
        let problem = |lark: &str| prepare(lark).unwrap_err().to_string();
        assert_eq!(
            problem("start: %json {\"items\": {\"not\": {}}}"),
            "`not` at #/items/not cannot be enforced: say what is allowed instead"
        );
        let trusting =
            "start: %json {\"not\": {}, \"type\": \"null\", \"x-guidance\": {\"lenient\": true}}";
        assert!(prepare(trusting).is_ok());
        assert!(problem("start: %json {").starts_with("the grammar cannot be enforced: `%json`"));
        assert!(problem("%llguidance {}\nstart: \"a\"").contains("leave it out"));
        assert!(problem(&" ".repeat(100_000)).starts_with("the grammar is too large"));
    }
}
