//! Negation, for `not` and `else`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::types::Types;

/// A prepared schema whose values all violate `schema`, which is not prepared. It may allow fewer values than `not`. `None` if
/// none is known.
pub(super) fn negated(schema: &Value) -> Option<Value> {
    let keywords = match schema {
        Value::Bool(allowed) => return Some(Value::Bool(!allowed)),
        Value::Object(keywords) if keywords.is_empty() => return Some(Value::Bool(false)),
        Value::Object(keywords) => keywords,
        _ => return None,
    };
    // A value violates a schema if it violates one of its keywords.
    let mut cases = Vec::new();
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("type", _) => cases.extend(other_types(value)),
            ("required", Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                cases.extend(names.map(|name| without([name])));
            }
            ("const", _) => cases.push(unequal(std::slice::from_ref(value))),
            ("enum", Value::Array(values)) => cases.push(unequal(values)),
            ("properties", Value::Object(properties)) => {
                let violated = properties.iter().filter_map(|(name, schema)| {
                    let schema = negated(schema)?;
                    Some(
                        json!({"type": "object", "properties": {name: schema}, "required": [name]}),
                    )
                });
                cases.extend(violated);
            }
            ("allOf", Value::Array(schemas)) => cases.extend(schemas.iter().filter_map(negated)),
            ("anyOf", Value::Array(schemas)) => {
                let all: Option<Vec<Value>> = schemas.iter().map(negated).collect();
                cases.extend(all.map(|all| json!({ "allOf": all })));
            }
            _ => {}
        }
    }
    (!cases.is_empty()).then(|| json!({ "anyOf": cases }))
}

/// Objects without these properties.
pub(super) fn without<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    let names = names
        .into_iter()
        .map(|name| (name.to_owned(), Value::Bool(false)));
    json!({"type": "object", "properties": names.collect::<Map<_, _>>()})
}

fn other_types(value: &Value) -> Option<Value> {
    let named = |name: &Value| name.as_str().and_then(Types::named);
    let types = match value {
        Value::Array(names) => names
            .iter()
            .map(named)
            .try_fold(Types::NONE, |types, one| Some(types.or(one?)))?,
        name => named(name)?,
    };
    // No schema describes the numbers that are not integers.
    let types = if types.has(Types::INTEGER) {
        types.or(Types::NUMBER)
    } else {
        types
    };
    let others = types.others();
    (others != Types::NONE).then(|| json!({ "type": others.names() }))
}

/// The values that equal none of these.
fn unequal(values: &[Value]) -> Value {
    let of_type = |types: Types| {
        values
            .iter()
            .filter(move |value| types.has(Types::of(value)))
    };
    let mut cases = Vec::new();
    for types in [Types::NULL, Types::ARRAY, Types::OBJECT] {
        if of_type(types).next().is_none() {
            cases.push(json!({ "type": types.names() }));
        }
    }
    for value in [true, false] {
        if !values.contains(&Value::Bool(value)) {
            cases.push(json!({ "const": value }));
        }
    }
    let numbers = of_type(Types::NUMBER).map(|number| {
        json!({"anyOf": [{"type": "number", "exclusiveMaximum": number}, {"type": "number", "exclusiveMinimum": number}]})
    });
    let numbers: Vec<Value> = numbers.collect();
    cases.push(if numbers.is_empty() {
        json!({"type": "number"})
    } else {
        json!({ "allOf": numbers })
    });
    let texts: BTreeSet<&str> = values.iter().filter_map(Value::as_str).collect();
    cases.push(if texts.is_empty() {
        json!({"type": "string"})
    } else {
        json!({"type": "string", "pattern": format!("^{}$", other_texts(&texts))})
    });
    json!({ "anyOf": cases })
}

/// An expression of all texts except these.
fn other_texts(texts: &BTreeSet<&str>) -> String {
    let firsts: BTreeSet<char> = texts
        .iter()
        .filter_map(|text| text.chars().next())
        .collect();
    let class: String = firsts.iter().copied().map(escaped).collect();
    let mut cases = if firsts.is_empty() {
        vec!["(?s:.)(?s:.*)".to_owned()]
    } else {
        vec![format!("[^{class}](?s:.*)")]
    };
    for first in firsts {
        let rests = texts.iter().filter_map(|text| text.strip_prefix(first));
        cases.push(format!(
            "{}{}",
            escaped(first),
            other_texts(&rests.collect())
        ));
    }
    let optional = if texts.contains("") { "" } else { "?" };
    format!("(?:{}){optional}", cases.join("|"))
}

/// A character in an expression, in a class or not.
fn escaped(character: char) -> String {
    if character.is_ascii_alphanumeric() || !character.is_ascii() {
        character.to_string()
    } else {
        format!("\\x{:02X}", u32::from(character))
    }
}

#[cfg(test)]
mod tests {
    use super::super::language;
    use super::*;

    #[test]
    fn other_texts_matches_all_texts_but_these() {
        let pattern = format!("^{}$", other_texts(&BTreeSet::from(["a", "ab.", "é"])));
        for (text, expected) in [
            ("a", false),
            ("ab.", false),
            ("é", false),
            ("", true),
            ("b", true),
            ("ab", true),
            ("abx", true),
            ("ab..", true),
            ("éa\n", true),
        ] {
            assert_eq!(
                language::matches(&pattern, text),
                Some(expected),
                "{text:?}"
            );
        }
        assert_eq!(other_texts(&BTreeSet::from([""])), "(?:(?s:.)(?s:.*))");
    }

    #[test]
    fn negated_knows_types_values_and_required_properties() {
        assert_eq!(negated(&json!({})), Some(json!(false)));
        assert_eq!(negated(&json!(false)), Some(json!(true)));
        assert_eq!(
            negated(&json!({"type": ["null", "integer"]})),
            Some(json!({"anyOf": [{"type": ["boolean", "string", "array", "object"]}]}))
        );
        assert_eq!(
            negated(&json!({"required": ["a"]})),
            Some(json!({"anyOf": [{"type": "object", "properties": {"a": false}}]}))
        );
        assert_eq!(negated(&json!({"pattern": "a"})), None);
    }
}
