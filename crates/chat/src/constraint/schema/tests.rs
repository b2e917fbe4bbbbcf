//! Rejected and rewritten schemas.

use serde_json::{Value, json};

use super::Enforcement;

fn prepare(schema: &Value) -> Result<Value, crate::constraint::GrammarError> {
    super::prepare(schema, Enforcement::Strict)
}

fn problem(schema: Value) -> String {
    match prepare(&schema) {
        Ok(prepared) => format!("prepared as {prepared}"),
        Err(error) => error.to_string(),
    }
}

/// The rewritten schema without the parts that all of them have.
fn prepared(schema: Value) -> Value {
    let mut prepared = prepare(&schema).unwrap();
    let keywords = prepared.as_object_mut().unwrap();
    keywords.shift_remove("x-guidance");
    if keywords["$defs"] == json!({}) {
        keywords.shift_remove("$defs");
    }
    // Schemas of numbers are definitions.
    match prepared["$ref"].as_str() {
        Some("#/$defs/n0") => prepared["$defs"]["n0"].clone(),
        _ => prepared,
    }
}

#[test]
fn unsupported_keyword_error_names_keyword_and_pointer() {
    let object = json!({"type": "object"});
    for (keyword, value) in [
        ("not", json!({"pattern": "a"})),
        ("contains", object.clone()),
        ("uniqueItems", json!(true)),
        ("propertyNames", json!({"not": object})),
        ("unevaluatedProperties", object),
        ("pattern", json!("(?=a)b")),
        ("$ref", json!("https://example.com/schema")),
        ("$ref", json!("#/nowhere")),
        ("$ref", json!("#anchor")),
        ("oneOf", json!([{"type": "number"}, {"type": "integer"}])),
        ("multipleOf", json!(0.000_000_1)),
        ("minLength", json!(1_000_000)),
        ("const", json!(9_007_199_254_740_993_i64)),
        ("enum", json!(["a\u{1}"])),
    ] {
        let schema = json!({"properties": {"a/b": {keyword: value}}});
        let expected = format!("`{keyword}` at #/properties/a~1b/{keyword} cannot be enforced: ");
        let message = problem(schema);
        assert!(message.starts_with(&expected), "{keyword}: {message}");
    }
    let schema = json!({"if": {"pattern": "a"}, "then": {"type": "string"}});
    insta::assert_snapshot!(
        problem(schema),
        @"`if` at #/if cannot be enforced: its negation is not known; use anyOf with a case for each"
    );
    insta::assert_snapshot!(
        problem(json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"not": {"pattern": "a"}}}}})),
        @"`not` at #/$defs/a/items/not cannot be enforced: describe the allowed values instead"
    );
}

#[test]
fn unsatisfiable_schema_error_has_a_pointer() {
    for (schema, pointer) in [
        (json!({"minimum": 2, "maximum": 1}), "/minimum"),
        (
            json!({"exclusiveMinimum": 1, "maximum": 1}),
            "/exclusiveMinimum",
        ),
        (
            json!({"type": "integer", "minimum": 0.1, "maximum": 0.9}),
            "/minimum",
        ),
        (json!({"minLength": 2, "maxLength": 1}), "/minLength"),
        (json!({"minItems": 2, "maxItems": 1}), "/minItems"),
        (
            json!({"minItems": 2, "prefixItems": [{}], "items": false}),
            "/minItems",
        ),
        (
            json!({"minProperties": 2, "maxProperties": 1}),
            "/minProperties",
        ),
        (json!({"enum": []}), "/enum"),
        (json!({"type": []}), "/type"),
        (json!({"type": "string", "enum": [1, 2]}), "/enum"),
        (json!({"type": "string", "const": null}), "/const"),
        (
            json!({"properties": {"a": false}, "required": ["a"]}),
            "/required",
        ),
        (
            json!({"type": "object", "required": ["a"], "additionalProperties": false}),
            "/required",
        ),
    ] {
        let message = problem(json!({"items": schema}));
        let expected = format!(" at #/items{pointer}");
        assert!(
            message.starts_with("the JSON schema is unsatisfiable: "),
            "{message}"
        );
        assert!(message.ends_with(&expected), "{message}");
    }
    let endless = json!({
        "type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"],
    });
    for schema in [json!(false), json!({"$ref": "#"}), endless] {
        let message = problem(schema);
        assert!(
            message.starts_with("the JSON schema is unsatisfiable: "),
            "{message}"
        );
    }
}

#[test]
fn invalid_schema_error_has_a_pointer() {
    for (schema, pointer) in [
        (json!(1), ""),
        (json!({"type": "text"}), "/type"),
        (json!({"type": 1}), "/type"),
        (json!({"properties": []}), "/properties"),
        (json!({"properties": {"a": 1}}), "/properties/a"),
        (json!({"required": "a"}), "/required"),
        (json!({"propertyNames": 1}), "/propertyNames"),
        (json!({"minLength": -1}), "/minLength"),
        (json!({"maximum": "1"}), "/maximum"),
        (json!({"multipleOf": 0}), "/multipleOf"),
        (json!({"pattern": 1}), "/pattern"),
        (json!({"anyOf": []}), "/anyOf"),
        (json!({"allOf": {}}), "/allOf"),
        (json!({"enum": "a"}), "/enum"),
        (json!({"$ref": 1}), "/$ref"),
    ] {
        let message = problem(json!({"items": schema}));
        let expected = format!(" at #/items{pointer}");
        assert!(
            message.starts_with("the JSON schema is not valid: "),
            "{message}"
        );
        assert!(message.ends_with(&expected), "{message}");
    }
}

#[test]
fn too_large_schemas_are_rejected() {
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({"items": deep});
    }
    let wide = json!({"enum": (0..20_000).collect::<Vec<u32>>()});
    let long = json!({"description": "a".repeat(300_000)});
    for schema in [deep, wide, long] {
        let message = problem(schema);
        assert!(
            message.starts_with("the grammar is too large: "),
            "{message}"
        );
    }
}

#[test]
fn annotations_and_noop_keywords_are_removed() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com",
        "title": "t", "description": "d", "default": 1, "examples": [1], "$comment": "c",
        "deprecated": true, "readOnly": true, "writeOnly": true, "x-order": 1, "nullable": true,
        "type": "string", "uniqueItems": false, "if": {}, "propertyNames": {"type": "string"},
        "unevaluatedProperties": true,
    });
    assert_eq!(prepared(schema), json!({"type": "string"}));
}

#[test]
fn references_are_resolved_and_deduplicated() {
    let schema = json!({
        "properties": {"a": {"$ref": "#/$defs/x~1y%20z"}, "b": {"$ref": "#/$defs/x~1y%20z"}, "c": {"$ref": "#"}},
        "$defs": {"x/y z": {"type": "null"}, "unused": {"not": {}}},
    });
    let result = prepared(schema);
    assert_eq!(result["properties"]["a"], json!({"$ref": "#/$defs/d0"}));
    assert_eq!(result["properties"]["b"], json!({"$ref": "#/$defs/d0"}));
    assert_eq!(result["properties"]["c"], json!({"$ref": "#/$defs/d1"}));
    assert_eq!(result["$defs"]["d0"], json!({"type": "null"}));
    assert_eq!(result["$defs"]["d1"]["properties"], result["properties"]);
    assert_eq!(result["$defs"].as_object().unwrap().len(), 2);
}

#[test]
fn one_of_needs_mutually_exclusive_schemas() {
    let kind = |name: &str| {
        json!({
            "type": "object", "properties": {"kind": {"const": name}}, "required": ["kind"],
        })
    };
    let closed = |name: &str| {
        json!({
            "type": "object", "properties": {name: {}}, "required": [name], "additionalProperties": false,
        })
    };
    let definitions = json!({"cat": kind("cat"), "dog": kind("dog")});
    for options in [
        json!([{"type": "string"}, {"type": ["integer", "null"]}]),
        json!([{"const": 1}, {"enum": [2, 3]}]),
        json!([{"const": "a"}, {"type": "number"}]),
        json!([kind("cat"), kind("dog"), {"type": "array"}]),
        json!([{"$ref": "#/$defs/cat"}, {"allOf": [{"$ref": "#/$defs/dog"}]}]),
        json!([closed("a"), closed("b")]),
        json!([{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "boolean"}]),
        // Without a type, output is an object.
        json!([{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"a": {"const": 2}}, "required": ["a"]}]),
    ] {
        let count = options.as_array().unwrap().len();
        let result = prepared(json!({"oneOf": options, "$defs": definitions}));
        assert_eq!(
            result["anyOf"].as_array().map(Vec::len),
            Some(count),
            "{options}"
        );
    }
    for options in [
        json!([{"type": "string"}, {"type": "string", "maxLength": 2}]),
        json!([{}, {"type": "null"}]),
        json!([{"const": 1}, {"const": 1.0}]),
        json!([{"properties": {"a": {}}}, {"type": "string"}]),
        // All values of the second schema satisfy the first one.
        json!([closed("a"), {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": false}]),
    ] {
        let message = problem(json!({"oneOf": options}));
        assert!(
            message.starts_with("`oneOf` at #/oneOf cannot be enforced: "),
            "{message}"
        );
    }
}

#[test]
fn one_of_excludes_properties_that_other_schemas_require() {
    let option = |name: &str| json!({"type": "object", "properties": {"id": {}, name: {}}, "required": ["id", name]});
    let result = prepared(json!({"oneOf": [option("a"), option("b")]}));
    assert_eq!(
        result["anyOf"][0]["allOf"][1],
        json!({"type": "object", "properties": {"b": false}})
    );
    assert_eq!(
        result["anyOf"][1]["allOf"][1],
        json!({"type": "object", "properties": {"a": false}})
    );
    let required =
        json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b", "c"]}]});
    let result = prepared(required);
    assert_eq!(
        result["anyOf"][0]["allOf"][1]["properties"],
        json!({"b": false})
    );
}

#[test]
fn null_keywords_are_absent_and_boolean_bounds_are_exclusive() {
    let schema = json!({
        "type": "object", "required": null, "propertyNames": null,
        "properties": {"a": {"const": null, "enum": null}, "b": {"type": "string", "pattern": null, "minLength": null}},
        "additionalProperties": null, "$ref": null, "anyOf": null,
    });
    assert_eq!(
        prepared(schema),
        json!({"type": "object", "properties": {"a": {"const": null}, "b": {"type": "string"}}})
    );
    let bound = json!({"type": "number", "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false});
    assert_eq!(
        prepared(bound),
        json!({"type": "number", "exclusiveMinimum": 1.0, "maximum": 2.0})
    );
}

#[test]
fn patterns_that_match_few_names_become_properties() {
    let schema = json!({
        "type": "object", "properties": {"n": {"type": "string"}}, "additionalProperties": false,
        "patternProperties": {"^n$": {"maxLength": 3}, "^[ab]$": {"type": "null"}, "^x": {"type": "boolean"}},
    });
    let result = prepared(schema);
    assert_eq!(
        result["properties"],
        json!({"n": {"allOf": [{"type": "string"}, {"maxLength": 3}]}, "a": {"type": "null"}, "b": {"type": "null"}})
    );
    assert_eq!(
        result["patternProperties"],
        json!({"^x": {"type": "boolean"}})
    );
}

#[test]
fn property_names_are_named_or_match_a_pattern() {
    let names = |names: Value| {
        prepared(
            json!({"type": "object", "propertyNames": names, "additionalProperties": {"type": "null"}}),
        )
    };
    let open = json!({"type": "object", "additionalProperties": {"type": "null"}});
    for any in [
        json!({}),
        json!({"type": "string"}),
        json!({"minLength": 0}),
        json!(true),
    ] {
        assert_eq!(names(any), open);
    }
    let listed = json!({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "additionalProperties": false});
    for finite in [
        json!({"enum": ["a", "b"]}),
        json!({"enum": ["a", "b", "long"], "maxLength": 1}),
        json!({"pattern": "^[ab]$"}),
        json!({"allOf": [{"enum": ["a", "b", "c"]}, {"pattern": "a|b"}]}),
    ] {
        assert_eq!(names(finite), listed);
    }
    let matching = names(json!({"pattern": "^[a-z]+$", "minLength": 1}));
    assert_eq!(
        matching["patternProperties"],
        json!({"^[a-z]+$": {"type": "null"}})
    );
    assert_eq!(matching["additionalProperties"], json!(false));
    let none = json!({"type": "object", "additionalProperties": false});
    assert_eq!(names(json!({"type": "integer"})), none);
}

#[test]
fn format_is_an_annotation_unless_it_is_known() {
    let string = json!({"type": "string"});
    for format in [
        "password",
        "binary",
        "path",
        "uri-reference",
        "byte",
        "unknown",
    ] {
        assert_eq!(
            prepared(json!({"type": "string", "format": format})),
            string
        );
    }
    let pattern = prepared(json!({"type": "string", "format": "nanoid", "pattern": "^[a-z]{21}$"}));
    assert_eq!(pattern, json!({"type": "string", "pattern": "^[a-z]{21}$"}));
    for format in [
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uuid",
        "uri",
        "e164",
    ] {
        let result = prepared(json!({"type": "string", "format": format}));
        assert!(result["pattern"].is_string(), "{format}");
    }
    // The pattern decides where both contradict each other.
    let local = "^[0-9]{2}:[0-9]{2}$";
    let result = prepared(json!({"type": "string", "format": "time", "pattern": local}));
    assert_eq!(result, json!({"type": "string", "pattern": local}));
}

#[test]
fn ignored_keywords_are_noted() {
    let schema = json!({"properties": {
        "a": {"type": "string", "format": "email", "pattern": "^(?!\\.)a"},
        "b": {"type": "array", "contains": {"type": "null"}},
    }});
    let notes = super::ignored(&schema, Enforcement::BestEffort);
    assert_eq!(
        notes,
        [
            "#/properties/a/pattern is not enforced: it has the look-around (?!\\.); format is enforced",
            "#/properties/b/contains is not enforced: use prefixItems or items",
        ]
    );
    assert!(super::ignored(&json!({"type": "string"}), Enforcement::Strict).is_empty());
}

#[test]
fn numbers_are_limited_to_the_exact_range() {
    let integer = prepared(json!({"type": "integer"}));
    assert_eq!(
        (&integer["minimum"], &integer["maximum"]),
        (&json!(-9e18), &json!(9e18))
    );
    let safe = json!({"type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64});
    let exact = (
        json!(-9_007_199_254_740_991.0),
        json!(9_007_199_254_740_991.0),
    );
    let result = prepared(safe);
    assert_eq!(
        (result["minimum"].clone(), result["maximum"].clone()),
        exact
    );
    let long = prepared(json!({"type": "integer", "maximum": i64::MAX}));
    assert_eq!(long["maximum"], json!(9e18));
    let large = prepared(
        json!({"type": "integer", "minimum": 1e17, "maximum": 200_000_000_000_000_000_i64}),
    );
    assert_eq!(
        (&large["minimum"], &large["maximum"]),
        (&json!(1e17), &json!(2e17))
    );
    let negative = prepared(json!({"type": "integer", "maximum": -1e17}));
    assert_eq!(negative["maximum"], json!(-1e17));
    for inexact in [
        json!({"type": "integer", "minimum": 100_000_000_000_000_001_i64}),
        json!({"type": "integer", "exclusiveMinimum": 1e17}),
        json!({"type": "integer", "minimum": 1e17, "multipleOf": 2}),
        json!({"type": "number", "minimum": 1e17}),
    ] {
        let message = problem(inexact);
        assert!(
            message.ends_with("it is too large to be exact"),
            "{message}"
        );
    }
    let cents = prepared(json!({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0}));
    assert_eq!(cents["maximum"], json!(1e13));
    assert_eq!(cents["exclusiveMinimum"], json!(0.0));
    assert_eq!(
        prepared(json!({"type": "number"})),
        json!({"type": "number"})
    );
}

#[test]
fn best_effort_ignores_unsupported_keywords() {
    let schema = json!({
        "type": "object", "required": ["a", "b"], "additionalProperties": false, "not": {"minProperties": 3},
        "properties": {
            "a": {"type": "string", "format": "phone", "pattern": "(?=a)", "maxLength": 3},
            "b": {"oneOf": [{"type": "number"}, {"type": "integer"}], "if": {"pattern": "a"}, "then": false},
            "c": {"type": "array", "uniqueItems": true, "items": {"$ref": "https://example.com"}},
        },
    });
    let mut prepared = super::prepare(&schema, Enforcement::BestEffort).unwrap();
    prepared["properties"].as_object_mut().unwrap().sort_keys();
    assert_eq!(
        prepared["properties"]["a"],
        json!({"type": "string", "maxLength": 3})
    );
    assert_eq!(
        prepared["properties"]["b"]["anyOf"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(
        prepared["properties"]["c"],
        json!({"type": "array", "items": {}})
    );
    assert_eq!(prepared["required"], json!(["a", "b"]));
    let invalid = json!({"type": "text", "required": "a", "properties": {"a": 1}});
    let prepared = super::prepare(&invalid, Enforcement::BestEffort).unwrap();
    assert_eq!(prepared["properties"], json!({"a": true}));
    assert!(
        super::prepare(
            &json!({"minimum": 2, "maximum": 1}),
            Enforcement::BestEffort
        )
        .is_err()
    );
}
