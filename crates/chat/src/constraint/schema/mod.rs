//! JSON schemas, written so that the parser enforces all that they say.
//!
//! The parser ignores or refuses some keywords, is exact about numbers only in a range, and reads references as they are
//! spelled. So a schema is walked first: what cannot be enforced is refused with its place, and the rest is written down
//! again in the few keywords that mean to the parser what they mean to a validator. Where that says less than the schema
//! allows, it never says more: keywords are only ever combined by "and" and "or", so a part that is stricter makes the
//! whole stricter.

mod arrays;
mod disjoint;
mod finite;
mod formats;
mod literals;
mod numbers;
mod objects;
mod pattern;
mod pointer;
mod references;
mod strings;
mod types;
mod walk;

use serde_json::{Map, Value, json};

pub(crate) use self::walk::Enforcement;

use self::pointer::Pointer;
use self::walk::Walk;
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// The schema for the parser.
///
/// # Errors
/// When a part of it cannot be enforced, is no schema, cannot be fulfilled or is too large.
pub(crate) fn prepare(schema: &Value, enforcement: Enforcement) -> Result<Value, GrammarError> {
    let size = schema.to_string().len();
    if size > limits::SCHEMA_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the JSON schema has {size} bytes"),
            limit: limits::SCHEMA_BYTES,
        });
    }
    let mut walk = Walk::new(schema, enforcement);
    let whole = walk.subschema(schema, &Pointer::root())?;
    let definitions = walk.definitions()?;
    if !finite::has_value(&whole, &definitions) {
        return Err(GrammarError::Impossible {
            pointer: Pointer::root().to_string(),
            problem: "every value would contain itself, or the schema is false".into(),
        });
    }
    let mut prepared = match whole {
        Value::Object(keywords) => keywords,
        _ => Map::new(),
    };
    let definitions = definitions.into_iter().enumerate();
    let definitions = definitions.map(|(index, schema)| (references::name(index), schema));
    let numbers = walk.numbers().enumerate();
    let numbers = numbers.map(|(index, schema)| (references::number_name(index), schema));
    prepared.insert("$defs".into(), definitions.chain(numbers).collect());
    prepared.insert("x-guidance".into(), writing(enforcement));
    Ok(Value::Object(prepared))
}

/// How JSON is written: see [`Grammar`](crate::constraint::Grammar). Each character of a string has one spelling only, so that no
/// second one of a property's name gets around its schema.
fn writing(enforcement: Enforcement) -> Value {
    let lenient = enforcement == Enforcement::Best;
    json!({
        "lenient": lenient,
        "coerce_one_of": lenient,
        "item_separator": ", ?",
        "key_separator": ": ?",
        "whitespace_flexible": false,
        "json_allowed_escapes": "nrbtf\\\"",
    })
}

#[cfg(test)]
mod tests;
