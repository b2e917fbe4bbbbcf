//! Rewrites JSON schemas so that llguidance enforces them completely.
//!
//! llguidance ignores or rejects some keywords, is exact only for numbers within a range, and does not normalize references.
//! A walk over the schema therefore rejects keywords that cannot be enforced and rewrites the rest to keywords that llguidance
//! treats as validators do. The result may allow fewer values than the schema, but never more: subschemas are combined only
//! by conjunction and disjunction, so a stricter subschema makes the whole schema stricter.

mod arrays;
mod conditions;
mod disjoint;
mod finite;
mod formats;
mod language;
mod literals;
mod lookahead;
mod names;
mod negate;
mod numbers;
mod objects;
mod pattern;
mod pointer;
mod references;
mod strings;
mod types;
mod unions;
mod unique;
mod walk;

use serde_json::{Map, Value, json};

pub(crate) use self::walk::Enforcement;

use self::pointer::Pointer;
use self::walk::Walk;
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// The rewritten schema.
///
/// # Errors
/// If a part of it cannot be enforced, is not a schema, is unsatisfiable or too large.
pub(crate) fn prepare(schema: &Value, enforcement: Enforcement) -> Result<Value, GrammarError> {
    prepare_noting_ignored(schema, enforcement).map(|(prepared, _)| prepared)
}

/// What [`prepare`] does not enforce: one sentence for each keyword.
pub(crate) fn ignored(schema: &Value, enforcement: Enforcement) -> Vec<String> {
    prepare_noting_ignored(schema, enforcement).map_or_else(|_| Vec::new(), |(_, ignored)| ignored)
}

fn prepare_noting_ignored(
    schema: &Value,
    enforcement: Enforcement,
) -> Result<(Value, Vec<String>), GrammarError> {
    let size = schema.to_string().len();
    if size > limits::SCHEMA_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the JSON schema has {size} bytes"),
            limit: limits::SCHEMA_BYTES,
        });
    }
    let mut walk = Walk::new(schema, enforcement);
    let root = walk.subschema(schema, &Pointer::root())?;
    let definitions = walk.definitions()?;
    if !finite::has_value(&root, &definitions) {
        return Err(GrammarError::Unsatisfiable {
            pointer: Pointer::root().to_string(),
            problem: "every value contains itself, or the schema is false".into(),
        });
    }
    let mut prepared = match root {
        Value::Object(keywords) => keywords,
        _ => Map::new(),
    };
    let definitions = definitions.into_iter().enumerate();
    let definitions = definitions.map(|(index, schema)| (references::name(index), schema));
    let (numbers, ignored) = walk.finish();
    let numbers = numbers.into_iter().enumerate();
    let numbers = numbers.map(|(index, schema)| (references::number_name(index), schema));
    prepared.insert("$defs".into(), definitions.chain(numbers).collect());
    prepared.insert("x-guidance".into(), guidance_options(enforcement));
    Ok((Value::Object(prepared), ignored.into_iter().collect()))
}

/// Options of llguidance for compact JSON, see [`Grammar`](crate::constraint::Grammar). Every character of a string has a single
/// spelling, because the schema of a property does not apply to a differently escaped name.
fn guidance_options(enforcement: Enforcement) -> Value {
    let lenient = enforcement == Enforcement::BestEffort;
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
