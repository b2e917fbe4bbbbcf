//! Whether a schema that refers to itself can come to an end.

use serde_json::{Map, Value};

use super::references;

/// Whether some finite value may fulfil the prepared schema `whole`, as far as references and required parts decide it.
pub(super) fn has_value(whole: &Value, definitions: &[Value]) -> bool {
    // From "nothing is known to have a value" upwards, until nothing changes.
    let mut known = vec![false; definitions.len()];
    loop {
        let next: Vec<bool> = definitions
            .iter()
            .map(|schema| may_end(schema, &known))
            .collect();
        if next == known {
            return may_end(whole, &known);
        }
        known = next;
    }
}

fn may_end(schema: &Value, known: &[bool]) -> bool {
    let keywords = match schema {
        Value::Bool(allowed) => return *allowed,
        Value::Object(keywords) => keywords,
        _ => return true,
    };
    let ends = |schema: &Value| may_end(schema, known);
    let reference = keywords.get("$ref").and_then(Value::as_str);
    if let Some(index) = reference.and_then(references::index)
        && !known.get(index).copied().unwrap_or(true)
    {
        return false;
    }
    let all = |keyword: &str| {
        let schemas = keywords.get(keyword).and_then(Value::as_array);
        schemas.is_none_or(|schemas| schemas.iter().all(ends))
    };
    let any = |keyword: &str| {
        let schemas = keywords.get(keyword).and_then(Value::as_array);
        schemas.is_none_or(|schemas| schemas.iter().any(ends))
    };
    all("allOf") && any("anyOf") && some_type_ends(keywords, &ends)
}

fn some_type_ends(keywords: &Map<String, Value>, ends: &impl Fn(&Value) -> bool) -> bool {
    let type_ends = |name: &str| match name {
        "object" => required_end(keywords, ends),
        "array" => items_end(keywords, ends),
        _ => true,
    };
    match keywords.get("type") {
        _ if keywords.contains_key("const") || keywords.contains_key("enum") => true,
        Some(Value::String(name)) => type_ends(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(type_ends),
        _ => true,
    }
}

fn required_end(keywords: &Map<String, Value>, ends: &impl Fn(&Value) -> bool) -> bool {
    let properties = keywords.get("properties").and_then(Value::as_object);
    let required = keywords.get("required").and_then(Value::as_array);
    let mut names = required.into_iter().flatten().filter_map(Value::as_str);
    names.all(|name| {
        let schema = properties.and_then(|properties| properties.get(name));
        schema.is_none_or(ends)
    })
}

fn items_end(keywords: &Map<String, Value>, ends: &impl Fn(&Value) -> bool) -> bool {
    let fewest = keywords.get("minItems").and_then(Value::as_u64);
    let fewest = fewest.unwrap_or(0) as usize;
    let places = keywords.get("prefixItems").and_then(Value::as_array);
    let places = places.map_or(&[][..], Vec::as_slice);
    let first = places.iter().take(fewest).all(ends);
    let rest = fewest <= places.len() || keywords.get("items").is_none_or(ends);
    first && rest
}
