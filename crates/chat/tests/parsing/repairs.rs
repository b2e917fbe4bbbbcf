//! Calls that models write with small errors, and calls that are not whole.

use mlxm_chat::parsing::{Format, Parser, Part, ReasoningFormat, Tool, ToolFormat};
use serde_json::{Value, json};

use crate::common::{assert_independent_of_splits, calls, join, parse, tools};

fn format(tools: ToolFormat) -> Format {
    Format {
        tools: Some(tools),
        reasoning: Some(ReasoningFormat::Think),
    }
}

fn content(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Content(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn tool(name: &str, properties: &Value) -> Tool {
    Tool {
        name: name.to_owned(),
        parameters: json!({"type": "object", "properties": properties}),
    }
}

/// `write` with two strings, `ls` with a string, `f` with a list and a number, and `now` without arguments.
fn file_tools() -> Vec<Tool> {
    vec![
        tool(
            "write",
            &json!({"content": {"type": "string"}, "path": {"type": "string"}}),
        ),
        tool("ls", &json!({"path": {"type": "string"}})),
        tool(
            "f",
            &json!({"items": {"type": "array"}, "n": {"type": "integer"}}),
        ),
        tool("now", &json!({})),
    ]
}

/// Asserts that `text` is one call with these arguments and this content, at every split.
fn assert_call(tools: ToolFormat, text: &str, name: &str, arguments: &Value, expected: &str) {
    let parts = parse(format(tools), "", &file_tools(), [text]);
    let call = (name.to_owned(), arguments.clone());
    assert_eq!(calls(&parts), [call], "{tools}: {text:?}");
    assert_eq!(content(&parts), expected, "{tools}: {text:?}");
    assert_independent_of_splits(format(tools), "", &file_tools(), text);
}

/// Asserts that `text` has no call and this content, at every split.
fn assert_content(tools: ToolFormat, text: &str, expected: &str) {
    let parts = parse(format(tools), "", &file_tools(), [text]);
    assert!(calls(&parts).is_empty(), "{tools}: {text:?}");
    assert_eq!(content(&parts), expected, "{tools}: {text:?}");
    assert_independent_of_splits(format(tools), "", &file_tools(), text);
}

#[test]
fn closing_tags_inside_a_value_belong_to_it() {
    let values = [
        "return \"CLOSE\"\nrest <parameter=x>",
        "a\nCLOSE\nb",
        "a CLOSE b CLOSE c",
        "CLOSE is a tag",
        "write </function> and </tool_call> and </invoke> in it",
    ];
    for value in values {
        for (tools, close, before, between, after) in [
            (
                ToolFormat::Qwen3Coder,
                "</parameter>",
                "<tool_call>\n<function=write>\n<parameter=content>\n",
                "\n</parameter>\n<parameter=path>\n",
                "\n</parameter>\n</function>\n</tool_call>",
            ),
            (
                ToolFormat::Glm4,
                "</arg_value>",
                "<tool_call>write<arg_key>content</arg_key><arg_value>",
                "</arg_value><arg_key>path</arg_key><arg_value>",
                "</arg_value></tool_call>",
            ),
            (
                ToolFormat::MiniMax,
                "</parameter>",
                "<minimax:tool_call>\n<invoke name=\"write\">\n<parameter name=\"content\">",
                "</parameter>\n<parameter name=\"path\">",
                "</parameter>\n</invoke>\n</minimax:tool_call>",
            ),
            (
                ToolFormat::FunctionGemma,
                "<escape>",
                "<start_function_call>call:write{content:<escape>",
                "<escape>,path:<escape>",
                "<escape>}<end_function_call>",
            ),
            (
                ToolFormat::Gemma4,
                "<|\"|>",
                "<|tool_call>call:write{content:<|\"|>",
                "<|\"|>,path:<|\"|>",
                "<|\"|>}<tool_call|>",
            ),
        ] {
            let value = value.replace("CLOSE", close);
            let text = format!("{before}{value}{between}a.py{after}");
            let arguments = json!({"content": value, "path": "a.py"});
            assert_call(tools, &text, "write", &arguments, "");
        }
    }
}

#[test]
fn extra_and_missing_braces_and_tags_are_repaired() {
    let path = json!({"path": "."});
    for text in [
        // One brace too many or too few.
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}\n</tool_call>",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"\n</tool_call>",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\",}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {'path': '.'}}\n</tool_call>",
        // Repeated tags.
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}\n</tool_call>\n</tool_call>",
        "<tool_call>\n<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}\n</tool_call>",
        // The output ends early.
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}\n</tool_ca",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}",
        "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}",
    ] {
        assert_call(ToolFormat::Hermes, text, "ls", &path, "");
    }
    for text in [
        "<tool_call>\n<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</function>\n</tool_call>\n</tool_call>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</tool_call>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</function>\n</tool_call>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</function>",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n</func",
        "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>",
    ] {
        assert_call(ToolFormat::Qwen3Coder, text, "ls", &path, "");
    }
    for (tools, text) in [
        (
            ToolFormat::Glm4,
            "<tool_call>ls<arg_key>path</arg_key><arg_value>.</arg_value></arg_value></tool_call></tool_call>",
        ),
        (
            ToolFormat::Glm4,
            "<tool_call>ls<arg_key>path</arg_key><arg_value>.</tool_call>",
        ),
        (
            ToolFormat::MiniMax,
            "<minimax:tool_call>\n<invoke name=\"ls\">\n<parameter name=\"path\">.</parameter>\n</minimax:tool_call>",
        ),
        (
            ToolFormat::Llama3Json,
            "{\"name\": \"ls\", \"parameters\": {\"path\": \".\"}}}",
        ),
        (
            ToolFormat::Llama3Json,
            "{\"name\": \"ls\", \"parameters\": {\"path\": \".\"}",
        ),
        (
            ToolFormat::Mistral,
            "[TOOL_CALLS][{\"name\": \"ls\", \"arguments\": {\"path\": \".\",}}]",
        ),
        (
            ToolFormat::Mistral,
            "[TOOL_CALLS]ls[ARGS]{\"path\": \".\"}}",
        ),
        (
            ToolFormat::DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>ls<｜tool▁sep｜>{\"path\": \".\"<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
        (
            ToolFormat::FunctionGemma,
            "<start_function_call>call:ls{path:<escape>.<escape><end_function_call>",
        ),
        (
            ToolFormat::Gemma4,
            "<|tool_call>call:ls{path:<|\"|>.<|\"|>}}<tool_call|><tool_call|>",
        ),
        (
            ToolFormat::Lfm2,
            "<|tool_call_start|>[ls(path=\".\")<|tool_call_end|><|tool_call_end|>",
        ),
    ] {
        assert_call(tools, text, "ls", &path, "");
    }
    let harmony = Format {
        tools: Some(ToolFormat::Harmony),
        reasoning: Some(ReasoningFormat::Harmony),
    };
    let text = "<|channel|>commentary to=functions.ls <|constrain|>json<|message|>{\"path\": \".\",}<|call|>";
    let parts = parse(harmony, "", &file_tools(), [text]);
    assert_eq!(calls(&parts), [("ls".to_owned(), path)]);
    assert_eq!(content(&parts), "");
}

#[test]
fn missing_closing_tag_before_the_next_argument_is_repaired() {
    let arguments = json!({"content": "a", "path": "b"});
    for (tools, text) in [
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=write>\n<parameter=content>\na\n<parameter=path>\nb\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            ToolFormat::Glm4,
            "<tool_call>write<arg_key>content</arg_key><arg_value>a<arg_key>path</arg_key><arg_value>b</arg_value></tool_call>",
        ),
    ] {
        assert_call(tools, text, "write", &arguments, "");
    }
}

#[test]
fn trailing_commas_in_lists_are_repaired() {
    let text =
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"items\": [\"a\", \"b\",]}}\n</tool_call>";
    let arguments = json!({"items": ["a", "b"]});
    assert_call(ToolFormat::Hermes, text, "f", &arguments, "");
}

#[test]
fn numbers_without_a_fraction_are_integers() {
    for (tools, before, after) in [
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=f>\n<parameter=n>\n",
            "\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            ToolFormat::Glm4,
            "<tool_call>f<arg_key>n</arg_key><arg_value>",
            "</arg_value></tool_call>",
        ),
        (
            ToolFormat::MiniMax,
            "<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"n\">",
            "</parameter>\n</invoke>\n</minimax:tool_call>",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": ",
            "}}\n</tool_call>",
        ),
        (ToolFormat::Pythonic, "[f(n=", ")]"),
        (ToolFormat::Gemma4, "<|tool_call>call:f{n:", "}<tool_call|>"),
    ] {
        for (written, value) in [
            ("140.0", json!(140)),
            ("1e3", json!(1000)),
            ("-3.5", json!(-3.5)),
        ] {
            let text = format!("{before}{written}{after}");
            assert_call(tools, &text, "f", &json!({"n": value}), "");
        }
    }
}

#[test]
fn stray_closing_tags_are_dropped_at_the_end_of_a_line() {
    for (tools, close) in [
        (ToolFormat::Hermes, "</tool_call>"),
        (ToolFormat::Qwen3Coder, "</tool_call>"),
        (ToolFormat::MiniMax, "</minimax:tool_call>"),
        (ToolFormat::Gemma4, "<tool_call|>"),
    ] {
        assert_content(tools, &format!("Done.\n{close}"), "Done.");
        assert_content(tools, &format!("Done.{close}\n"), "Done.");
        let text = format!("One.\n{close}\nTwo.");
        assert_content(tools, &text, "One.\n\nTwo.");
        let text = format!("The tag {close} ends a call.");
        assert_content(tools, &text, &text);
    }
}

#[test]
fn calls_that_are_not_whole_are_content() {
    for (tools, text) in [
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": .}}\n</tool_call>",
        ),
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=ls>\n<parameter=path>\n.",
        ),
        (ToolFormat::Qwen3Coder, "<tool_call>\n<function=ls>\n<param"),
        (
            ToolFormat::Glm4,
            "<tool_call>ls<arg_key>path</arg_key><arg_value>.",
        ),
        (ToolFormat::Pythonic, "[ls(path=\".\""),
        (
            ToolFormat::FunctionGemma,
            "<start_function_call>call:ls{path:<escape>.",
        ),
        (ToolFormat::Mistral, "[TOOL_CALLS]ls[ARGS]{\"path\": \"."),
        (
            ToolFormat::DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>ls<｜tool▁sep｜>{\"path\": ",
        ),
    ] {
        // The start delimiter of a truncated call is dropped.
        let is_closed = text.ends_with("</tool_call>");
        let openers = [
            "<tool_call>\n",
            "<tool_call>",
            "<start_function_call>",
            "[TOOL_CALLS]",
            "<｜tool▁calls▁begin｜>",
        ];
        let opened = openers.iter().find_map(|opener| text.strip_prefix(opener));
        let expected = opened.filter(|_| !is_closed).unwrap_or(text);
        assert_content(tools, text, expected);
    }
    let text = "Let me look.\n\n<tool_call>\n{\"name\": \"ls\", \"argum";
    let expected = "Let me look.\n\n{\"name\": \"ls\", \"argum";
    assert_content(ToolFormat::Hermes, text, expected);
    let text = "The tag is <tool_call>";
    assert_content(ToolFormat::Hermes, text, text);
}

#[test]
fn output_truncated_between_arguments_is_content() {
    let text = "<tool_call>\n<function=ls>\n<parameter=path>\n.\n</parameter>\n";
    let mut parser = Parser::new(format(ToolFormat::Qwen3Coder), "", &file_tools());
    let mut parts = parser.push(text);
    parts.extend(parser.finish_truncated());
    let expected = text.trim_start_matches("<tool_call>\n");
    assert_eq!(join(parts), [Part::Content(expected.to_owned())]);
}

#[test]
fn call_without_a_required_argument_is_content_if_its_end_is_missing() {
    let text = "<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n";
    let parts = parse(format(ToolFormat::Qwen3Coder), "", &tools(), [text]);
    let expected = text.trim_start_matches("<tool_call>\n");
    assert_eq!(parts, [Part::Content(expected.to_owned())]);
}

#[test]
fn whole_calls_end_the_reasoning() {
    let reasoning = Part::Reasoning("I need the time.".to_owned());
    let json = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    let tags = "<tool_call>\n<function=now>\n</function>\n</tool_call>";
    let short = "<function=now>\n</function>";
    for (tools, call) in [
        (ToolFormat::Hermes, json),
        (ToolFormat::Qwen3Coder, tags),
        (ToolFormat::Qwen3Coder, short),
    ] {
        for (after, content) in [
            ("", None),
            ("\n</think>", None),
            ("\n</think>\n\nSo.", Some("So.")),
        ] {
            let text = format!("I need the time.\n{call}{after}");
            let parts = parse(format(tools), "<think>\n", &file_tools(), [text.as_str()]);
            let mut expected = vec![
                reasoning.clone(),
                Part::ToolCall {
                    index: 0,
                    name: "now".to_owned(),
                },
                Part::Arguments {
                    index: 0,
                    delta: "{}".to_owned(),
                },
            ];
            expected.extend(content.map(|text| Part::Content(text.to_owned())));
            assert_eq!(parts, expected, "{tools}: {text:?}");
            assert_independent_of_splits(format(tools), "<think>\n", &file_tools(), &text);
        }
    }
}

#[test]
fn calls_within_a_line_of_reasoning_and_broken_calls_stay_reasoning() {
    let call = "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>";
    for reasoning in [
        format!("The format is {call} I should not."),
        "Maybe:\n<tool_call>\n{\"name\": \"launch\", \"arguments\": {}}\n</tool_call>\nNo."
            .to_owned(),
        "Maybe:\n<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": ".to_owned(),
        "<tool_call> is the tag.".to_owned(),
    ] {
        let text = format!("{reasoning}</think>Done.");
        let hermes = format(ToolFormat::Hermes);
        let parts = parse(hermes, "<think>\n", &file_tools(), [text.as_str()]);
        let reasoning = reasoning.trim_end().to_owned();
        let expected = [
            Part::Reasoning(reasoning),
            Part::Content("Done.".to_owned()),
        ];
        assert_eq!(parts, expected, "{text:?}");
        assert_independent_of_splits(hermes, "<think>\n", &file_tools(), &text);
    }
}
