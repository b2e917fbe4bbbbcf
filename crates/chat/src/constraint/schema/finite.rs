//! Whether a recursive schema has a finite value.

use serde_json::{Map, Value};

use super::references;

/// Whether a finite value may satisfy the prepared schema `root`. Considers only references and required parts.
pub(super) fn has_value(root: &Value, definitions: &[Value]) -> bool {
    // The least fixed point, starting with no satisfiable definition.
    let mut known = vec![false; definitions.len()];
    loop {
        let next: Vec<bool> = definitions
            .iter()
            .map(|schema| may_be_satisfiable(schema, &known))
            .collect();
        if next == known {
            return may_be_satisfiable(root, &known);
        }
        known = next;
    }
}

fn may_be_satisfiable(schema: &Value, known: &[bool]) -> bool {
    let keywords = match schema {
        Value::Bool(allowed) => return *allowed,
        Value::Object(keywords) => keywords,
        _ => return true,
    };
    let satisfiable = |schema: &Value| may_be_satisfiable(schema, known);
    let reference = keywords.get("$ref").and_then(Value::as_str);
    if let Some(index) = reference.and_then(references::index)
        && !known.get(index).copied().unwrap_or(true)
    {
        return false;
    }
    let all = |keyword: &str| {
        let schemas = keywords.get(keyword).and_then(Value::as_array);
        schemas.is_none_or(|schemas| schemas.iter().all(satisfiable))
    };
    let any = |keyword: &str| {
        let schemas = keywords.get(keyword).and_then(Value::as_array);
        schemas.is_none_or(|schemas| schemas.iter().any(satisfiable))
    };
    all("allOf") && any("anyOf") && any_type_satisfiable(keywords, &satisfiable)
}

fn any_type_satisfiable(
    keywords: &Map<String, Value>,
    satisfiable: &impl Fn(&Value) -> bool,
) -> bool {
    let type_satisfiable = |name: &str| match name {
        "object" => required_satisfiable(keywords, satisfiable),
        "array" => items_satisfiable(keywords, satisfiable),
        _ => true,
    };
    match keywords.get("type") {
        _ if keywords.contains_key("const") || keywords.contains_key("enum") => true,
        Some(Value::String(name)) => type_satisfiable(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(type_satisfiable),
        _ => true,
    }
}

fn required_satisfiable(
    keywords: &Map<String, Value>,
    satisfiable: &impl Fn(&Value) -> bool,
) -> bool {
    let properties = keywords.get("properties").and_then(Value::as_object);
    let required = keywords.get("required").and_then(Value::as_array);
    let mut names = required.into_iter().flatten().filter_map(Value::as_str);
    names.all(|name| {
        let schema = properties.and_then(|properties| properties.get(name));
        schema.is_none_or(satisfiable)
    })
}

fn items_satisfiable(keywords: &Map<String, Value>, satisfiable: &impl Fn(&Value) -> bool) -> bool {
    let min = keywords.get("minItems").and_then(Value::as_u64);
    let min = min.unwrap_or(0) as usize;
    let prefix = keywords.get("prefixItems").and_then(Value::as_array);
    let prefix = prefix.map_or(&[][..], Vec::as_slice);
    let required_prefix = prefix.iter().take(min).all(satisfiable);
    required_prefix && (min <= prefix.len() || keywords.get("items").is_none_or(satisfiable))
}
