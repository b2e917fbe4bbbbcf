//! Delimiters, text and reasoning around calls.

use mlxm_chat::parsing::{Format, Part, ReasoningFormat, Tool, ToolFormat};
use serde_json::json;

use crate::common::{assert_independent_of_splits, calls, parse};

const JSON: &str = "{\"name\": \"f\", \"arguments\": {\"a\": \"x\"}}";

/// `f` with an optional string and an optional number.
fn tools() -> Vec<Tool> {
    let properties = json!({"a": {"type": "string"}, "n": {"type": "integer"}});
    vec![Tool {
        name: "f".to_owned(),
        parameters: json!({"type": "object", "properties": properties}),
    }]
}

/// Asserts the number of calls `f(a="x")`, the reasoning and the content of `text`, at every split.
fn assert_parts(
    tools_format: ToolFormat,
    prompt: &str,
    text: &str,
    count: usize,
    texts: [&str; 2],
) {
    let format = Format {
        tools: Some(tools_format),
        reasoning: Some(ReasoningFormat::Think),
    };
    let parts = parse(format, prompt, &tools(), [text]);
    let expected = vec![("f".to_owned(), json!({"a": "x"})); count];
    assert_eq!(calls(&parts), expected, "{tools_format}: {text:?}");
    let mut found = [String::new(), String::new()];
    for part in &parts {
        match part {
            Part::Reasoning(text) => found[0].push_str(text),
            Part::Content(text) => found[1].push_str(text),
            Part::ToolCall { .. } | Part::Arguments { .. } => {}
        }
    }
    assert_eq!(found, texts, "{tools_format}: {text:?}");
    assert_independent_of_splits(format, prompt, &tools(), text);
}

fn assert_content(format: ToolFormat, text: &str, count: usize, content: &str) {
    assert_parts(format, "", text, count, ["", content]);
}

#[test]
fn rejected_calls_keep_both_delimiters() {
    for (format, text) in [
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"zzz\", \"arguments\": {}}\n</tool_call>",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x\" \"n\"}}\n</tool_call>",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x}}\n</tool_call>",
        ),
        (
            ToolFormat::Qwen25Coder,
            "<tools>\n{\"name\": \"zzz\", \"arguments\": {}}\n</tools>",
        ),
        (
            ToolFormat::Qwen3Coder,
            "<tool_call>\n<function=zzz>\n<parameter=a>\nx\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            ToolFormat::Glm4,
            "<tool_call>zzz<arg_key>a</arg_key><arg_value>x</arg_value></tool_call>",
        ),
        (
            ToolFormat::MiniMax,
            "<minimax:tool_call>\n<invoke name=\"zzz\">\n</invoke>\n</minimax:tool_call>",
        ),
        (
            ToolFormat::CommandR,
            "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"zzz\", \"parameters\": {}}]<|END_ACTION|>",
        ),
        (
            ToolFormat::Jamba,
            "<tool_calls>[{\"name\": \"zzz\", \"arguments\": {}}]</tool_calls>",
        ),
        (
            ToolFormat::Lfm2,
            "<|tool_call_start|>[zzz(a=\"x\")]<|tool_call_end|>",
        ),
        (
            ToolFormat::Olmo3,
            "<function_calls>zzz(a=\"x\")</function_calls>",
        ),
        (
            ToolFormat::FunctionGemma,
            "<start_function_call>call:zzz{}<end_function_call>",
        ),
        (
            ToolFormat::DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>zzz<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
    ] {
        assert_content(format, text, 0, text);
        let text = format!("Hm.\n{text}\nSo.");
        assert_content(format, &text, 0, &text);
    }
}

#[test]
fn truncated_calls_have_no_delimiters() {
    for (text, content) in [
        (
            "Hi <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x",
            "Hi {\"name\": \"f\", \"arguments\": {\"a\": \"x",
        ),
        (
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x\n</tool_c",
            "{\"name\": \"f\", \"arguments\": {\"a\": \"x\n",
        ),
    ] {
        assert_content(ToolFormat::Hermes, text, 0, content);
    }
}

#[test]
fn code_blocks_and_wrappers_are_parts_of_a_call() {
    let wrapped =
        "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"a\": \"x\"}}}";
    for (format, text) in [
        (ToolFormat::Hermes, format!("<tool_call>\n```json\n{JSON}\n```\n</tool_call>")),
        (ToolFormat::Hermes, format!("<tool_call>\n{wrapped}\n</tool_call>")),
        (ToolFormat::Llama3Json, wrapped.to_owned()),
        (ToolFormat::Mistral, format!("[TOOL_CALLS][{wrapped}]")),
        (ToolFormat::Json, format!("```json\n{JSON}\n``")),
        (ToolFormat::Hermes, "<tool_call>\n{\"id\": \"1\", \"function\": \
             {\"arguments\": {\"a\": \"x\"}, \"name\": \"f\"}, \"type\": \"function\"}\n</tool_call>".to_owned()),
    ] {
        assert_content(format, &text, 1, "");
    }
}

#[test]
fn repeated_commas_and_braces_are_repaired() {
    for arguments in ["{\"a\": \"x\",,}", "{,\"a\": \"x\"}", "{{\"a\": \"x\"}}"] {
        let text =
            format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>");
        assert_content(ToolFormat::Hermes, &text, 1, "");
    }
    let text = format!("<tool_call>\n{{{JSON}}}\n</tool_call>");
    assert_content(ToolFormat::Hermes, &text, 1, "");
    let text = format!("[TOOL_CALLS][{JSON},, {{{JSON}}},]");
    assert_content(ToolFormat::Mistral, &text, 2, "");
}

#[test]
fn entries_of_a_list_after_a_call_have_no_separators() {
    let unknown = "{\"name\": \"zzz\", \"arguments\": {\"a\": [1]}}";
    for (format, text, count, content) in [
        (
            ToolFormat::Mistral,
            format!("[TOOL_CALLS][{JSON}, {unknown}]"),
            1,
            unknown,
        ),
        (
            ToolFormat::Mistral,
            format!("[TOOL_CALLS][{JSON}, {unknown}, {JSON}]"),
            2,
            unknown,
        ),
        (
            ToolFormat::Mistral,
            format!("[TOOL_CALLS][{JSON}, {{\"name\": \"f\", \"argu"),
            1,
            "{\"name\": \"f\", \"argu",
        ),
        (ToolFormat::Mistral, format!("[TOOL_CALLS][{JSON}, "), 1, ""),
        (
            ToolFormat::Jamba,
            format!("<tool_calls>[{JSON}, {unknown}]</tool_calls>"),
            1,
            unknown,
        ),
        (
            ToolFormat::Pythonic,
            "[f(a=\"x\"), zzz(b=[1, 2])]".to_owned(),
            1,
            "zzz(b=[1, 2])",
        ),
        (
            ToolFormat::Lfm2,
            "<|tool_call_start|>[f(a=\"x\"), f(a=".to_owned(),
            1,
            "f(a=",
        ),
    ] {
        assert_content(format, &text, count, content);
    }
}

#[test]
fn truncated_delimiters_after_a_call_are_dropped() {
    for (format, text, closer) in [
        (
            ToolFormat::KimiK2,
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0\
             <|tool_call_argument_begin|>{\"a\": \"x\"}<|tool_call_end|>",
            "<|tool_calls_section_end|>",
        ),
        (
            ToolFormat::DeepSeek,
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"x\"}<｜tool▁call▁end｜>",
            "<｜tool▁calls▁end｜>",
        ),
        (
            ToolFormat::MiniMaxM3,
            "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"f\">\
             ]<]minimax[>[<a>x]<]minimax[>[</a>]<]minimax[>[</invoke>\n",
            "]<]minimax[>[</tool_call>",
        ),
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"x\"}}\n</tool_call>\n",
            "<tool_call>",
        ),
    ] {
        for end in closer.char_indices().map(|(at, _)| at) {
            assert_content(format, &format!("{text}{}", &closer[..end]), 1, "");
        }
    }
}

#[test]
fn white_space_separates_the_texts_around_calls() {
    let call = format!("<tool_call>\n{JSON}\n</tool_call>");
    for (text, count, content) in [
        (format!("Sure. {call} Bye"), 1, "Sure. Bye"),
        (format!("Sure.\n\n{call}\nBye \n"), 1, "Sure.\n\nBye \n"),
        (format!("Sure.\n{call}\n{call}  Bye"), 2, "Sure.\nBye"),
        (format!("Sure.{call} Bye"), 1, "Sure. Bye"),
        (format!(" {call} Bye"), 1, "Bye"),
    ] {
        assert_content(ToolFormat::Hermes, &text, count, content);
    }
}

#[test]
fn reasoning_continues_after_a_call() {
    let call = format!("<tool_call>\n{JSON}\n</tool_call>");
    for (prompt, text, count, texts) in [
        (
            "<think>\n",
            format!("think\n{call}\nmore reasoning\n</think>\nText"),
            1,
            ["think\nmore reasoning", "Text"],
        ),
        (
            "<think>\n",
            format!("a\n{call}\nb\n{call}\n</think>\nText"),
            2,
            ["a\nb", "Text"],
        ),
        (
            "<think>\n",
            format!("a\n{call}\n<tool_call>zzz\n</think>\nText"),
            1,
            ["a\n<tool_call>zzz", "Text"],
        ),
        (
            "",
            format!("<think>\na\n</think>\n\n{call}\n<think>\nb\n</think>\n\n{call}"),
            2,
            ["a\nb", ""],
        ),
    ] {
        assert_parts(ToolFormat::Hermes, prompt, &text, count, texts);
    }
}

#[test]
fn start_tags_before_a_call_on_the_next_line_are_not_reasoning() {
    let call =
        "<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>\n</function>\n</tool_call>";
    let text = format!("thinking {call}</think> c");
    assert_parts(
        ToolFormat::Qwen3Coder,
        "<think>\n",
        &text,
        1,
        ["thinking", "c"],
    );
    let text = "the tag <tool_call> and\n</think> c";
    assert_parts(
        ToolFormat::Qwen3Coder,
        "<think>\n",
        text,
        0,
        ["the tag <tool_call> and", "c"],
    );
}
