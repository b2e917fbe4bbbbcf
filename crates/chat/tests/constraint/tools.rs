//! Forced tool calls in every syntax: whatever the model generates, the parser finds calls.

use mlxm_chat::constraint::Grammar;
use mlxm_chat::parsing::{ForcedCall, Format, Parser, Part, Tool, ToolFormat};
use serde_json::{Value, json};

use crate::support::{compiler, sample_ending};

/// Ends of strings in the syntaxes that do not quote them.
const DELIMITERS: [&str; 8] = [
    "\n</parameter>",
    "</parameter>",
    "</｜DSML｜parameter>",
    "</steptml:parameter>",
    "]<]minimax[>[",
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
fn forced_calls_are_parsed_in_every_syntax() {
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
            let outputs: Vec<String> = (0..24)
                .filter_map(|seed| sample_ending(&matcher, seed, 1000, &DELIMITERS))
                .collect();
            assert!(
                outputs.len() >= 8,
                "{}: {} complete",
                syntax.as_str(),
                outputs.len()
            );
            for output in outputs {
                check(format, &tools, name, &output);
            }
        }
    }
}

fn check(format: Format, tools: &[Tool], name: Option<&str>, output: &str) {
    let mut parser = Parser::new(format, "", tools);
    let mut parts = parser.push(output);
    parts.extend(parser.finish());
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Part::ToolCall { name, .. } => calls.push((name, String::new())),
            Part::Arguments { index, delta } => calls[index].1.push_str(&delta),
            Part::Content(text) | Part::Reasoning(text) => {
                panic!("{format:?}: {text:?} is not a call in {output:?}")
            }
        }
    }
    assert!(!calls.is_empty(), "{format:?}: {output:?}");
    for (called, arguments) in calls {
        assert!(name.is_none_or(|name| name == called), "{output:?}");
        let value: Value = serde_json::from_str(&arguments).unwrap();
        assert!(value.is_object(), "{format:?}: {output:?}");
        if called == "get_forecast" {
            let days = value["days"].as_i64();
            assert!(
                value["city"].is_string(),
                "{format:?}: {value} of {output:?}"
            );
            assert!(
                days.is_some_and(|days| (1..=14).contains(&days)),
                "{format:?}: {value} of {output:?}"
            );
        }
    }
}
