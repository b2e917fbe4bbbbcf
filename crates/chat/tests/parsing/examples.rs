//! Values that contain calls, and names of arguments that are no identifiers.

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use mlxm_chat::parsing::{ForcedCall, Format, Part, Tool, ToolFormat};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{assert_independent_of_splits, calls, parse};

const PYTHONIC: [ToolFormat; 3] = [ToolFormat::Pythonic, ToolFormat::Lfm2, ToolFormat::Olmo3];

fn format(tools: ToolFormat) -> Format {
    Format {
        tools: Some(tools),
        reasoning: None,
    }
}

fn tool(properties: &Value, required: &[&str]) -> [Tool; 1] {
    [Tool {
        name: "write".to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
    }]
}

fn file_tool() -> [Tool; 1] {
    let string = json!({"type": "string"});
    tool(
        &json!({"content": string, "path": string}),
        &["content", "path"],
    )
}

/// The delimiters of a call with two arguments: before the first value, between the values, and after the second.
const CALLS: [(ToolFormat, [&str; 3]); 3] = [
    (
        ToolFormat::Qwen3Coder,
        [
            "<tool_call>\n<function=write>\n<parameter=content>\n",
            "\n</parameter>\n<parameter=path>\n",
            "\n</parameter>\n</function>\n</tool_call>",
        ],
    ),
    (
        ToolFormat::Glm4,
        [
            "<tool_call>write<arg_key>content</arg_key><arg_value>",
            "</arg_value><arg_key>path</arg_key><arg_value>",
            "</arg_value></tool_call>",
        ],
    ),
    (
        ToolFormat::MiniMax,
        [
            "<minimax:tool_call>\n<invoke name=\"write\">\n<parameter name=\"content\">",
            "</parameter>\n<parameter name=\"path\">",
            "</parameter>\n</invoke>\n</minimax:tool_call>",
        ],
    ),
];

#[test]
fn values_may_contain_calls() {
    for (tools, [before, between, after]) in CALLS {
        for value in [
            format!("Docs:\n{before}x{between}q{after}\nEnd"),
            format!("{before}x{between}q{after}"),
            format!("Two:\n{before}x{between}q{after}\n{before}y{between}r{after}\nEnd"),
        ] {
            let text = format!("{before}{value}{between}p{after}");
            let parts = parse(format(tools), "", &file_tool(), [text.as_str()]);
            let arguments = json!({"content": value, "path": "p"});
            assert_eq!(calls(&parts), [("write".to_owned(), arguments)], "{text:?}");
            let is_content = parts.iter().any(|part| matches!(part, Part::Content(_)));
            assert!(!is_content, "{parts:?}");
        }
    }
}

#[test]
fn values_may_contain_ends_of_calls() {
    let [before, between, after] = CALLS[0].1;
    for value in [
        "a\n</function>\n</tool_call>\nb",
        "a\n</parameter>\n</function>\n</tool_call>\nb",
        "the tag <function=write> starts a call",
    ] {
        let text = format!("{before}{value}{between}p{after}");
        let parts = parse(
            format(ToolFormat::Qwen3Coder),
            "",
            &file_tool(),
            [text.as_str()],
        );
        let arguments = json!({"content": value, "path": "p"});
        assert_eq!(calls(&parts), [("write".to_owned(), arguments)], "{text:?}");
        assert_independent_of_splits(format(ToolFormat::Qwen3Coder), "", &file_tool(), &text);
    }
}

#[test]
fn calls_without_a_required_argument_are_not_followed_by_text() {
    let text =
        "<tool_call>\n<function=write>\n<parameter=content>\na\n</function>\n</tool_call>\nText.";
    let parts = parse(format(ToolFormat::Qwen3Coder), "", &file_tool(), [text]);
    assert!(calls(&parts).is_empty(), "{parts:?}");
}

#[test]
fn none_is_null_or_left_out() {
    let string = json!({"type": "string"});
    for (properties, required, expected) in [
        (
            json!({"a": string, "n": {"type": "integer"}}),
            vec!["a"],
            json!({"a": null, "n": 1}),
        ),
        (
            json!({"a": string, "n": {"type": "integer"}}),
            vec![],
            json!({"n": 1}),
        ),
        (
            json!({"a": {"type": ["string", "null"]}}),
            vec![],
            json!({"a": null, "n": 1}),
        ),
        (json!({}), vec![], json!({"a": null, "n": 1})),
    ] {
        let tools = tool(&properties, &required);
        let parts = parse(
            format(ToolFormat::Pythonic),
            "",
            &tools,
            ["[write(a=None, n=1)]"],
        );
        assert_eq!(calls(&parts), [("write".to_owned(), expected)]);
    }
}

#[test]
fn argument_names_need_not_be_identifiers() {
    for key in ["$filter", "@type", "a b", "x>y"] {
        let tools = tool(
            &json!({key: {"type": "string"}, "n": {"type": "integer"}}),
            &[key],
        );
        for text in [
            format!("[write({key}=\"v, )\", n=1)]"),
            format!("[write(n=1, **{{\"{key}\": \"v, )\"}})]"),
            format!("[write(**{{\"{key}\": \"v, )\", \"n\": 1}})]"),
        ] {
            let parts = parse(format(ToolFormat::Pythonic), "", &tools, [text.as_str()]);
            let arguments = json!({key: "v, )", "n": 1});
            assert_eq!(calls(&parts), [("write".to_owned(), arguments)], "{text:?}");
            assert_independent_of_splits(format(ToolFormat::Pythonic), "", &tools, &text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// With one allowed text, the grammar leads to it.
    #[test]
    fn grammar_and_parser_agree_on_argument_names(
        keys in prop::collection::btree_set("[a-z$@ >=\"'\\\\\\n{}é,)*-]{1,6}", 1..3),
    ) {
        let properties: serde_json::Map<String, Value> =
            keys.iter().map(|key| (key.clone(), json!({"enum": ["v"]}))).collect();
        let required: Vec<&str> = keys.iter().map(String::as_str).collect();
        let tools = tool(&Value::Object(properties), &required);
        let expected: serde_json::Map<String, Value> =
            keys.iter().map(|key| (key.clone(), Value::from("v"))).collect();
        let expected = Value::Object(expected);
        let mut factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).unwrap();
        factory.quiet();
        for tool_format in PYTHONIC {
            let syntax = format(tool_format);
            let grammar = syntax.tool_grammar(&tools, ForcedCall::Required, false, "", &|_| None).unwrap();
            let grammar = TopLevelGrammar::from_lark(grammar);
            let mut matcher = Matcher::new(Ok(factory.create_parser(grammar).unwrap()));
            let mut text = Vec::new();
            while !matcher.is_stopped() && !matcher.is_accepting().unwrap() {
                let mask = matcher.compute_mask().unwrap();
                let is_allowed = |byte: &u8| mask.is_allowed(u32::from(*byte));
                // Visible characters first: white space between the tokens of JSON does not end.
                let byte = (33..=255).chain(0..33).find(is_allowed).unwrap();
                matcher.consume_token(u32::from(byte)).unwrap();
                text.push(byte);
            }
            let text = String::from_utf8(text).unwrap();
            let parts = parse(syntax, "", &tools, [text.as_str()]);
            prop_assert_eq!(calls(&parts), [("write".to_owned(), expected.clone())], "{}: {:?}", tool_format, text);
        }
    }
}
