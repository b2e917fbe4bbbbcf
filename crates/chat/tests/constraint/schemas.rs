//! Output that is constrained by JSON schemas.

use std::cell::Cell;

use mlxm_chat::constraint::{Grammar, GrammarError};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::{accepts, compiler, sample, violation};

const NAMES: [&str; 6] = ["a", "b", "name", "id", "x y", "\"q\\n\u{e9}"];

fn keywords(pairs: Vec<(&str, Option<Value>)>) -> Value {
    let pairs = pairs.into_iter();
    let present = pairs.filter_map(|(keyword, value)| Some((keyword.to_owned(), value?)));
    Value::Object(present.collect())
}

fn numbers() -> impl Strategy<Value = Value> {
    let bound = || {
        option::weighted(
            0.4,
            prop_oneof![
                (-1000..1000i32).prop_map(|n| json!(n)),
                (-9999..9999i32).prop_map(|n| json!(f64::from(n) / 100.0))
            ],
        )
    };
    (
        select(vec!["integer", "number"]),
        bound(),
        option::weighted(0.5, 0..500u32),
        any::<(bool, bool)>(),
        option::weighted(
            0.2,
            select(vec![
                json!(1),
                json!(2),
                json!(3),
                json!(7),
                json!(10),
                json!(0.5),
            ]),
        ),
    )
        .prop_map(|(kind, low, span, (open_low, open_high), step)| {
            let high = span.map(|span| {
                let from = low.as_ref().and_then(Value::as_f64).unwrap_or(0.0);
                json!((from * 100.0 + f64::from(span) * 100.0).round() / 100.0)
            });
            keywords(vec![
                ("type", Some(json!(kind))),
                (
                    if open_low {
                        "exclusiveMinimum"
                    } else {
                        "minimum"
                    },
                    low,
                ),
                (
                    if open_high {
                        "exclusiveMaximum"
                    } else {
                        "maximum"
                    },
                    high,
                ),
                ("multipleOf", step),
            ])
        })
}

fn strings() -> impl Strategy<Value = Value> {
    let patterns = select(vec![
        "^[a-z]+$",
        "^\\d{3}-\\d{4}$",
        "[A-Z]",
        "^a|b$",
        "^[^\\s,]{2,5}$",
        "^.{1,3}\\.$",
        "^\\S+\\s\\w*$",
        "^(foo|ba[rz])+$",
        "^[\\w.-]+@[\\w-]+\\.[a-z]{2,3}$",
        "^\"\\\\/$",
        "\u{e9}\u{4e2d}?$",
    ]);
    let formats = select(vec![
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
    ]);
    prop_oneof![
        (option::of(0..4u32), option::of(4..9u32)).prop_map(|(shortest, longest)| keywords(vec![
            ("type", Some(json!("string"))),
            ("minLength", shortest.map(Value::from)),
            ("maxLength", longest.map(Value::from)),
        ])),
        (patterns, option::weighted(0.3, 8..20u32)).prop_map(|(pattern, longest)| keywords(vec![
            ("type", Some(json!("string"))),
            ("pattern", Some(json!(pattern))),
            ("maxLength", longest.map(Value::from)),
        ])),
        formats.prop_map(|format| json!({"type": "string", "format": format})),
    ]
}

fn literals() -> impl Strategy<Value = Value> {
    let values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-17),
        json!(2.5),
        json!(1e-7),
        json!(1e20),
        json!("red"),
        json!("gr\u{fc}n\n"),
        json!(""),
        json!([1, "a"]),
        json!({"a": [null], "b": {}}),
    ];
    prop_oneof![
        subsequence(values.clone(), 1..5).prop_map(|values| json!({"enum": values})),
        select(values).prop_map(|value| json!({"const": value})),
    ]
}

fn leaves() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => numbers(),
        2 => strings(),
        1 => literals(),
        1 => select(vec![json!({"type": "null"}), json!({"type": "boolean"}), json!(true), json!({}),
            json!({"type": ["string", "null"], "maxLength": 3}), json!({"type": ["integer", "boolean"], "minimum": 3}),
            json!({"$ref": "#/$defs/tree"}), json!({"$ref": "#/$defs/short~1name"})]),
    ]
}

fn objects(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let properties = subsequence(NAMES.to_vec(), 0..=4).prop_flat_map(move |names| {
        let count = names.len();
        (
            Just(names.clone()),
            vec(inner.clone(), count),
            subsequence(names, 0..=count),
            inner.clone(),
            0..6u8,
        )
    });
    properties.prop_map(|(names, schemas, required, other, openness)| {
        let properties: Map<String, Value> = names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(schemas)
            .collect();
        let closed = required.len() == properties.len();
        keywords(vec![
            ("type", Some(json!("object"))),
            ("properties", Some(properties.into())),
            ("required", Some(json!(required))),
            (
                "additionalProperties",
                match openness {
                    0 => None,
                    1 => Some(other.clone()),
                    _ => Some(json!(false)),
                },
            ),
            (
                "patternProperties",
                (openness == 2).then(|| json!({"^[xy]+$": other})),
            ),
            (
                "maxProperties",
                (closed && openness < 2).then(|| json!(required.len() + 2)),
            ),
        ])
    })
}

fn arrays(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    (
        option::weighted(0.8, inner.clone()),
        vec(inner, 0..3),
        option::of(0..3u32),
        option::of(3..5u32),
    )
        .prop_map(|(items, prefix, min, max)| {
            keywords(vec![
                ("type", Some(json!("array"))),
                ("items", items),
                ("prefixItems", (!prefix.is_empty()).then(|| prefix.into())),
                ("minItems", min.map(Value::from)),
                ("maxItems", max.map(Value::from)),
            ])
        })
}

fn tagged(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    vec(inner, 2..4).prop_map(|schemas| {
        let cases = schemas.into_iter().enumerate().map(|(index, schema)| {
            json!({
                "type": "object", "required": ["kind"],
                "properties": {"kind": {"const": format!("k{index}")}, "value": schema},
            })
        });
        json!({"oneOf": cases.collect::<Vec<_>>()})
    })
}

fn schemas() -> impl Strategy<Value = Value> {
    let schema = leaves().prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            4 => objects(inner.clone()),
            3 => arrays(inner.clone()),
            2 => vec(inner.clone(), 1..4).prop_map(|options| json!({"anyOf": options})),
            1 => (objects(inner.clone()), inner.clone(), select(NAMES.to_vec())).prop_map(|(object, inner, name)| {
                json!({"allOf": [object, {"properties": {name: inner}}]})
            }),
            1 => (numbers(), numbers()).prop_map(|(first, second)| json!({"allOf": [first, second]})),
            1 => (strings(), 1..4u32).prop_map(|(first, shortest)| json!({"allOf": [first, {"minLength": shortest}]})),
            1 => tagged(inner),
        ]
    });
    schema.prop_map(|mut schema| {
        if let Value::Object(keywords) = &mut schema {
            let definitions = json!({
                "tree": {
                    "type": "object", "required": ["children"], "additionalProperties": false,
                    "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}},
                },
                "short/name": {"type": "string", "pattern": "^[a-z]{1,4}$"},
            });
            keywords.insert("$defs".into(), definitions);
        }
        schema
    })
}

#[test]
fn output_matches_random_schemas() {
    // For more cases: `MLXM_SCHEMA_CASES=5000 cargo test -p mlxm-chat random_schemas`.
    let cases = std::env::var("MLXM_SCHEMA_CASES").map_or(300, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let [compiled, rejected, complete, truncated] = [const { Cell::new(0u32) }; 4];
    let increment = |count: &Cell<u32>| count.set(count.get() + 1);
    let run = TestRunner::new_with_rng(config, source(cases)).run(&schemas(), |schema| {
        let matcher = match compiler().compile(&Grammar::JsonSchema(schema.clone())) {
            Ok(matcher) => matcher,
            // Random schemas may be contradictory or have parts of `allOf` that cannot be enforced together.
            Err(GrammarError::Unsatisfiable { .. } | GrammarError::Schema(_)) => {
                increment(&rejected);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        increment(&compiled);
        for seed in 0..4 {
            match sample(&matcher, seed, 300) {
                Some(output) => {
                    increment(&complete);
                    if let Some(violation) = violation(&schema, &output) {
                        return Err(TestCaseError::fail(violation));
                    }
                }
                None => increment(&truncated),
            }
        }
        Ok(())
    });
    match run {
        Ok(()) => {}
        Err(TestError::Fail(reason, schema)) => panic!("{reason} for {schema}"),
        Err(error) => panic!("{error}"),
    }
    let [compiled, rejected, complete, truncated] =
        [compiled, rejected, complete, truncated].map(Cell::into_inner);
    println!(
        "{compiled} schemas, {rejected} rejected; {complete} completions, {truncated} truncated"
    );
    assert!(
        compiled > 3 * rejected,
        "{compiled} compiled, {rejected} rejected"
    );
    assert!(
        complete > 2 * truncated,
        "{complete} complete, {truncated} truncated"
    );
}

/// Deterministic, with a seed that depends on the number of cases.
fn source(cases: u32) -> TestRng {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&cases.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
}

/// Schemas as common libraries generate them.
#[test]
fn output_matches_schemas_of_common_libraries() {
    let pydantic = json!({
        "$defs": {
            "Cat": {"properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}, "lives": {"title": "Lives", "type": "integer"}}, "required": ["kind", "lives"], "title": "Cat", "type": "object"},
            "Dog": {"properties": {"kind": {"const": "dog", "title": "Kind", "type": "string"}, "good": {"default": true, "title": "Good", "type": "boolean"}}, "required": ["kind"], "title": "Dog", "type": "object"},
        },
        "properties": {
            "pet": {"discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"}, "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "Pet"},
            "born": {"anyOf": [{"format": "date", "type": "string"}, {"type": "null"}], "default": null, "title": "Born"},
            "tags": {"items": {"type": "string", "maxLength": 5}, "title": "Tags", "type": "array", "maxItems": 3},
        },
        "required": ["pet", "tags"], "title": "Owner", "type": "object", "additionalProperties": false,
    });
    let zod = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64},
            "pair": {"type": "array", "items": [{"type": "string", "maxLength": 3}, {"type": "number"}], "additionalItems": false, "minItems": 2},
            "scores": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "boolean"}},
        },
        "required": ["count", "pair"],
        "additionalProperties": false,
    });
    let strict = json!({
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "final_answer": {"type": "string"},
        },
        "$defs": {"step": {"type": "object", "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}}, "required": ["explanation", "output"], "additionalProperties": false}},
        "required": ["steps", "final_answer"],
        "additionalProperties": false,
    });
    for schema in [pydantic, zod, strict] {
        let matcher = compiler()
            .compile(&Grammar::JsonSchema(schema.clone()))
            .unwrap();
        let outputs: Vec<String> = (0..20)
            .filter_map(|seed| sample(&matcher, seed, 600))
            .collect();
        assert!(outputs.len() >= 10, "only {} complete", outputs.len());
        for output in outputs {
            assert_eq!(violation(&schema, &output), None);
        }
    }
}

#[test]
fn numbers_are_within_the_range_of_a_double() {
    let number = json!({"type": "number"});
    let array = json!({"type": "array", "items": {}});
    let tagged = Grammar::Lark(format!("start: \"<n>\" %json {number}\n"));
    let text = json!({"type": "string", "pattern": "^[0-9]e[0-9]+$"});
    for (grammar, start, end) in [
        (Grammar::JsonSchema(number), "", ""),
        (Grammar::JsonSchema(array), "[", "]"),
        (Grammar::JsonObject, "{\"a\": ", "}"),
        (tagged, "<n>", ""),
    ] {
        let matcher = compiler().compile(&grammar).unwrap();
        let allows = |number: &str| accepts(&matcher, &format!("{start}{number}{end}"));
        for number in ["6.022e23", "-1E+99", "1e-7", "1e05"] {
            assert!(allows(number), "{grammar:?}: {number}");
        }
        let long = "9".repeat(400);
        for number in ["1e999", "-1E+400", "2.5e309", long.as_str()] {
            assert!(!allows(number), "{grammar:?}: {number}");
        }
    }
    let matcher = compiler().compile(&Grammar::JsonSchema(text)).unwrap();
    assert!(accepts(&matcher, "\"1e999\""));
}

#[test]
fn json_is_compact() {
    let matcher = compiler().compile(&Grammar::JsonObject).unwrap();
    let mut complete = 0;
    for seed in 0..60 {
        if let Some(output) = sample(&matcher, seed, 300) {
            complete += 1;
            let value: Value = match serde_json::from_str(&output) {
                Ok(value) => value,
                Err(error) if error.to_string().starts_with("number out of range") => continue,
                Err(error) => panic!("{error}: {output}"),
            };
            assert!(value.is_object());
            let mut in_string = false;
            let mut before = ' ';
            let mut escaped = false;
            for character in output.chars() {
                if in_string {
                    in_string = character != '"' || escaped;
                    escaped = character == '\\' && !escaped;
                } else {
                    in_string = character == '"';
                    let spaced = character != ' ' || matches!(before, ',' | ':');
                    assert!(spaced && !"\n\r\t".contains(character), "{output}");
                }
                before = character;
            }
        }
    }
    assert!(complete > 20, "{complete}");
}
