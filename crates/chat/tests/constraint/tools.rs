//! Forced tool calls, in every syntax: whatever the model says, it is a call that its parser understands.

use mlxm_chat::constraint::Grammar;
use mlxm_chat::parsing::{ForcedCall, Format, Parser, Part, Tool, ToolFormat};
use serde_json::{Value, json};

use crate::support::{babble_closing, compiler};

/// What ends a string in the syntaxes that do not quote them.
const MARKERS: [&str; 5] = [
    "\n</parameter>",
    "</parameter>",
    "</arg_value>",
    "<escape>",
    "<|\"|>",
];

fn tools() -> Vec<Tool> {
    let forecast = json!({
        "type": "object", "required": ["city", "days"], "additionalProperties": false,
        "properties": {
            "city": {"type": "string", "maxLength": 20, "description": "Where"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "units": {"enum": ["metric", "imperial"]},
            "hours": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 23}, "uniqueItems": true, "maxItems": 4},
            "deep": {"type": "object", "properties": {"a": {"type": ["boolean", "null"]}}, "additionalProperties": false},
        },
    });
    let tool = |name: &str, parameters| Tool {
        name: name.into(),
        parameters,
    };
    vec![
        tool("get_forecast", forecast),
        tool(
            "ping",
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
    ]
}

#[test]
fn forced_calls_are_calls_in_every_syntax() {
    let tools = tools();
    for syntax in ToolFormat::ALL {
        let format = Format {
            tools: Some(syntax),
            reasoning: None,
        };
        for (choice, name, parallel) in [
            (ForcedCall::Required, None, true),
            (
                ForcedCall::Named("get_forecast"),
                Some("get_forecast"),
                false,
            ),
        ] {
            let lark = format
                .tool_grammar(&tools, choice, parallel, "", &|_| None)
                .unwrap();
            let matcher = compiler().compile(&Grammar::Lark(lark.clone()));
            let matcher =
                matcher.unwrap_or_else(|error| panic!("{}: {error}\n{lark}", syntax.as_str()));
            let answers: Vec<String> = (0..24)
                .filter_map(|seed| babble_closing(&matcher, seed, 1000, &MARKERS))
                .collect();
            assert!(
                answers.len() >= 8,
                "{}: {} answers",
                syntax.as_str(),
                answers.len()
            );
            for answer in answers {
                check(format, &tools, name, &answer);
            }
        }
    }
}

fn check(format: Format, tools: &[Tool], name: Option<&str>, answer: &str) {
    let mut parser = Parser::new(format, "", tools);
    let mut parts = parser.push(answer);
    parts.extend(parser.finish());
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Part::ToolCall { name, .. } => calls.push((name, String::new())),
            Part::Arguments { index, delta } => calls[index].1.push_str(&delta),
            Part::Content(text) | Part::Reasoning(text) => {
                panic!("{format:?}: {text:?} is no call in {answer:?}")
            }
        }
    }
    assert!(!calls.is_empty(), "{format:?}: {answer:?}");
    for (called, arguments) in calls {
        assert!(name.is_none_or(|name| name == called), "{answer:?}");
        let value: Value = serde_json::from_str(&arguments).unwrap();
        assert!(value.is_object(), "{format:?}: {answer:?}");
        if called == "get_forecast" {
            let days = value["days"].as_i64();
            assert!(
                value["city"].is_string(),
                "{format:?}: {value} of {answer:?}"
            );
            assert!(
                days.is_some_and(|days| (1..=14).contains(&days)),
                "{format:?}: {value} of {answer:?}"
            );
        }
    }
}
