//! JSON schemas of tools as clients write them, for the constraint on arguments.

use serde_json::{Map, Value, json};

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The arguments of a tool.
    Arguments,
    /// A whole value.
    Whole,
    /// A part of a value, to which other schemas apply, too.
    Part,
}

/// Keywords that describe properties in addition to `properties`, or limit their number.
const PROPERTY_KEYWORDS: [&str; 14] = [
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "minProperties",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
    "if",
    "then",
    "else",
    "const",
    "enum",
];

/// The schema without annotations, which can be long and grammars are limited in size; with `null` as an absent keyword, as
/// serializers write it; and with `additionalProperties: false` where properties are named: small models invent further ones.
/// The grammar is prepared later, which rewrites other keywords.
pub(crate) fn normalize(mut schema: Value, scope: Scope) -> Value {
    let definitions = if schema.to_string().contains("\"allOf\"") {
        Scope::Part
    } else {
        Scope::Whole
    };
    normalize_subschema(&mut schema, scope, definitions);
    schema
}

fn normalize_subschema(schema: &mut Value, scope: Scope, definitions: Scope) {
    if schema.is_null() {
        *schema = json!({});
    }
    let Some(keywords) = schema.as_object_mut() else {
        return;
    };
    for keyword in ["description", "title", "examples", "default", "$comment"] {
        keywords.shift_remove(keyword);
    }
    keywords.retain(|keyword, value| !value.is_null() || keyword == "const");
    let alternatives = match scope {
        _ if names_properties(keywords) => Scope::Part,
        Scope::Arguments | Scope::Whole => Scope::Whole,
        Scope::Part => Scope::Part,
    };
    for (keyword, value) in keywords.iter_mut() {
        let scope = match keyword.as_str() {
            "$defs" | "definitions" => definitions,
            "anyOf" | "oneOf" => alternatives,
            "allOf" => Scope::Part,
            _ => Scope::Whole,
        };
        match (keyword.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions",
                Value::Object(parts),
            ) => {
                for part in parts.values_mut() {
                    normalize_subschema(part, scope, definitions);
                }
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(parts)) => {
                for part in parts {
                    normalize_subschema(part, scope, definitions);
                }
            }
            ("items" | "additionalProperties", part) => {
                normalize_subschema(part, scope, definitions);
            }
            _ => {}
        }
    }
    if is_closed(keywords, scope) {
        keywords.insert("additionalProperties".to_owned(), false.into());
    }
}

fn names_properties(keywords: &Map<String, Value>) -> bool {
    let properties = keywords.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| !properties.is_empty())
}

/// Whether there are no properties but the named ones. Arguments without any named property are empty.
fn is_closed(keywords: &Map<String, Value>, scope: Scope) -> bool {
    let is_described = match scope {
        Scope::Arguments => true,
        Scope::Whole => names_properties(keywords),
        Scope::Part => false,
    };
    let has_others = PROPERTY_KEYWORDS
        .iter()
        .any(|keyword| keywords.contains_key(*keyword));
    let properties = keywords.get("properties").and_then(Value::as_object);
    let required = keywords.get("required").and_then(Value::as_array);
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    is_described
        && !has_others
        && required.all(|name| properties.is_some_and(|named| named.contains_key(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::schema::{self, Enforcement};

    fn arguments(schema: Value) -> Value {
        normalize(schema, Scope::Arguments)
    }

    #[test]
    fn arguments_without_named_properties_are_empty() {
        let closed = json!({"additionalProperties": false});
        assert_eq!(arguments(json!({})), closed);
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}}),
            json!({"type": "object", "properties": null, "required": null}),
        ] {
            assert_eq!(arguments(schema)["additionalProperties"], false);
        }
        for schema in [
            json!({"type": "object", "additionalProperties": true}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}),
        ] {
            assert_eq!(arguments(schema.clone()), schema);
        }
    }

    #[test]
    fn objects_with_named_properties_are_closed() {
        let named = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let free = json!({"type": "object"});
        let schema = arguments(json!({"type": "object", "properties": {
            "named": named, "free": free, "list": {"type": "array", "items": named},
            "either": {"anyOf": [named, {"type": "null"}]}, "all": {"allOf": [named, named]},
            "needs_more": {"properties": {"a": {}}, "required": ["b"]},
        }}));
        assert_eq!(schema["additionalProperties"], false);
        let properties = &schema["properties"];
        assert_eq!(properties["named"]["additionalProperties"], false);
        assert_eq!(properties["free"], free);
        assert_eq!(properties["list"]["items"]["additionalProperties"], false);
        let either = &properties["either"]["anyOf"];
        assert_eq!(either[0]["additionalProperties"], false);
        assert_eq!(properties["all"]["allOf"], json!([named, named]));
        let needs_more = &properties["needs_more"];
        assert_eq!(needs_more.get("additionalProperties"), None);
    }

    #[test]
    fn nulls_are_absent() {
        let schema = normalize(
            json!({"type": "number", "enum": null, "pattern": null, "items": null, "const": null}),
            Scope::Whole,
        );
        assert_eq!(schema, json!({"type": "number", "const": null}));
    }

    #[test]
    fn keywords_of_draft_4_are_converted_with_the_grammar() {
        let schema = json!({"required": true, "properties": {"a": {"type": "number", "minimum": 0, "exclusiveMinimum": true,
            "maximum": 9, "exclusiveMaximum": false}}});
        let prepared = schema::prepare(&arguments(schema), Enforcement::BestEffort).unwrap();
        let number = &prepared["$defs"]["n0"];
        assert_eq!(
            *number,
            json!({"type": "number", "exclusiveMinimum": 0.0, "maximum": 9.0}),
            "{prepared}"
        );
    }
}
