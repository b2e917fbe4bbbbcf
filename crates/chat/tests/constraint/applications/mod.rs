//! Schemas as libraries and applications write them: accepted with a valid and an invalid value, or rejected with a pointer.

mod documents;
mod libraries;

use mlxm_chat::constraint::Grammar;
use serde_json::{Value, json};

use crate::support::{accepts, compiler, sample};

/// An accepted schema.
struct Accepted {
    name: &'static str,
    schema: Value,
    valid: Value,
    invalid: Value,
}

fn accepted(name: &'static str, schema: Value, valid: Value, invalid: Value) -> Accepted {
    Accepted {
        name,
        schema,
        valid,
        invalid,
    }
}

/// An object with the single required property `v`.
fn property(name: &'static str, schema: &Value, valid: Value, invalid: Value) -> Accepted {
    let schema = json!({
        "type": "object", "properties": {"v": schema}, "required": ["v"], "additionalProperties": false,
    });
    accepted(name, schema, json!({ "v": valid }), json!({ "v": invalid }))
}

#[test]
fn accepted_schemas_allow_valid_values_only() {
    let cases = [
        libraries::pydantic(),
        libraries::zod(),
        documents::openapi(),
        documents::conditions(),
        documents::servers(),
    ];
    let cases: Vec<Accepted> = cases.into_iter().flatten().collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    for Accepted {
        name,
        schema,
        valid,
        invalid,
    } in cases
    {
        let matcher = compiler().compile(&Grammar::JsonSchema(schema.clone()));
        let matcher = matcher.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(accepts(&matcher, &valid.to_string()), "{name}: {valid}");
        assert!(
            !accepts(&matcher, &invalid.to_string()),
            "{name}: {invalid}"
        );
        // Formats are not asserted: where a pattern contradicts one, the pattern is enforced.
        let Ok(validator) = jsonschema::options()
            .should_validate_formats(false)
            .build(&schema)
        else {
            continue;
        };
        assert!(validator.is_valid(&valid), "{name}: {valid}");
        for seed in 0..4 {
            if let Some(output) = sample(&matcher, seed, 300)
                && let Ok(value) = serde_json::from_str::<Value>(&output)
            {
                assert!(validator.is_valid(&value), "{name}: {output}");
            }
        }
    }
}

#[test]
fn rejected_schemas_have_a_pointer_and_a_reason() {
    let v =
        |schema: Value| json!({"type": "object", "properties": {"v": schema}, "required": ["v"]});
    for (schema, pointer, reason) in [
        (
            v(json!({"type": "array", "contains": {"type": "null"}})),
            "#/properties/v/contains",
            "use prefixItems or items",
        ),
        (
            v(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
            "#/properties/v/uniqueItems",
            "cannot be compared",
        ),
        (
            v(
                json!({"type": "array", "uniqueItems": true, "items": {"enum": (0..20).collect::<Vec<u32>>()}}),
            ),
            "#/properties/v/uniqueItems",
            "too many values",
        ),
        (
            v(json!({"$ref": "https://example.com/other.json"})),
            "#/properties/v/$ref",
            "not a part of this schema",
        ),
        (
            v(json!({"$ref": "#/$defs/missing"})),
            "#/properties/v/$ref",
            "there is nothing at",
        ),
        (
            v(json!({"oneOf": [{"type": "number"}, {"type": "integer"}]})),
            "#/properties/v/oneOf",
            "number 1 and number 2",
        ),
        (
            v(json!({"type": "string", "pattern": "^[a-z]+(?<!x)$"})),
            "#/properties/v/pattern",
            "(?<!x) at character 7",
        ),
        (
            v(json!({"type": "string", "pattern": "^a(?=b).*$"})),
            "#/properties/v/pattern",
            "(?=b) at character 2",
        ),
        (
            v(json!({"type": "string", "pattern": "^(a|b)\\1$"})),
            "#/properties/v/pattern",
            "backreferences",
        ),
        (
            v(
                json!({"type": "object", "propertyNames": {"anyOf": [{"pattern": "^a"}, {"const": "b"}]}}),
            ),
            "#/properties/v/propertyNames",
            "use an enum or a pattern",
        ),
        (
            v(
                json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "string"}}),
            ),
            "#/properties/v/minProperties",
            "at most one",
        ),
        (
            v(json!({"type": "string", "not": {"pattern": "^a"}})),
            "#/properties/v/not",
            "describe the allowed values",
        ),
        (
            v(json!({"if": {"pattern": "^a"}, "then": {"maxLength": 3}})),
            "#/properties/v/if",
            "use anyOf",
        ),
        (
            v(json!({"type": "array", "prefixItems": [{}], "unevaluatedItems": false})),
            "#/properties/v/unevaluatedItems",
            "use items",
        ),
        (
            v(json!({"const": 9_007_199_254_740_993_i64})),
            "#/properties/v/const",
            "use a string",
        ),
        (
            v(json!({"type": "string", "minLength": 1_000_000})),
            "#/properties/v/minLength",
            "the limit is",
        ),
        (
            v(json!({"type": "dict"})),
            "#/properties/v/type",
            "is not a type",
        ),
        (
            v(json!({"enum": []})),
            "#/properties/v/enum",
            "it has no values",
        ),
        (
            json!({"type": "object", "required": ["a"], "additionalProperties": false}),
            "#/required",
            "is not allowed",
        ),
        (
            json!({"type": "object", "propertyNames": {"enum": ["a"]}, "required": ["b"]}),
            "#/required",
            "is not allowed",
        ),
    ] {
        let error = compiler()
            .compile(&Grammar::JsonSchema(schema.clone()))
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(pointer) && message.contains(reason),
            "{schema}: {message}"
        );
    }
}

#[test]
fn lenient_schemas_are_enforced_as_far_as_possible() {
    let schema = json!({
        "type": "object", "required": ["tags"], "additionalProperties": false,
        "properties": {"tags": {"type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": "^a(?=b)"}, "maxItems": 2}},
    });
    let matcher = compiler()
        .compile(&Grammar::LenientJsonSchema(schema))
        .unwrap();
    assert!(accepts(&matcher, r#"{"tags":["x","x"]}"#));
    assert!(!accepts(&matcher, r#"{"tags":["x","x","x"]}"#));
}

#[test]
fn grammar_around_content_enforces_both() {
    for (content, text) in [
        (Grammar::Regex("yes|no".into()), "yes"),
        (
            Grammar::Lark("start: rule_1\nrule_1: \"yes\" | \"no\"".into()),
            "no",
        ),
        (Grammar::JsonSchema(json!({"enum": ["a", "b"]})), "\"a\""),
    ] {
        let grammar = Grammar::Around {
            lark: "start: rule_1 @content\nrule_1: /[a-z. ]*/ \"</think>\"".into(),
            content: Box::new(content),
        };
        let matcher = compiler().compile(&grammar).unwrap();
        assert!(accepts(&matcher, &format!("hm.</think>{text}")), "{text}");
        assert!(!accepts(&matcher, text), "{text}");
        assert!(!accepts(&matcher, "hm.</think>maybe"), "{text}");
    }
    let error = compiler().compile(&Grammar::Around {
        lark: "start: @content".into(),
        content: Box::new(Grammar::Regex("(".into())),
    });
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("the regular expression cannot be enforced: "),
        "{message}"
    );
}
