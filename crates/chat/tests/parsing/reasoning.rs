//! Reasoning between tags, without tools.

use crate::common::{assert_independent_of_splits, parse};
use mlxm_chat::parsing::{Format, Parser, Part, ReasoningFormat, ToolFormat, open_reasoning_end};
use proptest::prelude::*;

const ANY: Format = Format {
    tools: None,
    reasoning: Some(ReasoningFormat::AnyTags),
};

/// Prompt, text, reasoning, content.
const CASES: [(&str, &str, &str, &str); 18] = [
    ("", "plain answer", "", "plain answer"),
    (
        "",
        "<think>\nhm, 2+2\n</think>\n\n4 is it",
        "hm, 2+2",
        "4 is it",
    ),
    ("", "\n <think>a</think>b", "a", "b"),
    (
        "assistant\n<think>\n",
        "opened by the prompt </think> yes",
        "opened by the prompt",
        "yes",
    ),
    (
        "<think>\n\n</think>\n\n",
        "not <think>inside</think>",
        "",
        "not <think>inside</think>",
    ),
    (
        "",
        "<think>a </thin k> < </think",
        "a </thin k> < </think",
        "",
    ),
    ("", "<thinker> is a word", "", "<thinker> is a word"),
    (
        "",
        "<think>a</think>b<think>c</think>",
        "a",
        "b<think>c</think>",
    ),
    (
        "",
        "[THINK]über 🦀 a\n\nb[/THINK]\nß",
        "über 🦀 a\n\nb",
        "ß",
    ),
    ("", "  indented code", "", "  indented code"),
    (
        "<|START_THINKING|>",
        "a plan<|END_THINKING|>done",
        "a plan",
        "done",
    ),
    ("", "<|channel>thought\nhm\n<channel|>done", "hm", "done"),
    ("", "<seed:think>\n</seed:think> \n", "", ""),
    // Later blocks at the start of a line.
    (
        "",
        "<think>\na\n</think>\n\nb\n<think>\nc\n</think>\n\nd",
        "a\nc",
        "b\nd",
    ),
    ("", "<think>a</think> <think>b</think>c", "a b", "c"),
    ("", "b\n  <think>c</think>", "c", "b\n  "),
    (
        "",
        "Tags:\n```\n<think>\nc\n</think>\n```\n",
        "",
        "Tags:\n```\n<think>\nc\n</think>\n```\n",
    ),
    ("", "b\n<thinker>", "", "b\n<thinker>"),
];

fn split(parts: &[Part]) -> (String, String) {
    let mut split = (String::new(), String::new());
    for part in parts {
        match part {
            Part::Reasoning(text) => split.0.push_str(text),
            Part::Content(text) => split.1.push_str(text),
            _ => {}
        }
    }
    split
}

#[test]
fn parser_separates_reasoning_at_every_split() {
    for (prompt, text, reasoning, content) in CASES {
        let parts = parse(ANY, prompt, &[], [text]);
        let expected = (reasoning.to_owned(), content.to_owned());
        assert_eq!(split(&parts), expected, "{text:?}");
        assert_independent_of_splits(ANY, prompt, &[], text);
    }
}

#[test]
fn parser_emits_text_as_early_as_possible() {
    let mut parser = Parser::new(ANY, "", &[]);
    assert_eq!(
        parser.push("<think>one two <"),
        [Part::Reasoning("one two".to_owned())]
    );
    assert_eq!(parser.push("3"), [Part::Reasoning(" <3".to_owned())]);
    assert_eq!(
        parser.push("</think>yes"),
        [Part::Content("yes".to_owned())]
    );
    assert_eq!(parser.push(" \n"), [Part::Content(" \n".to_owned())]);
}

#[test]
fn parser_ignores_tags_of_other_formats() {
    let format = Format {
        tools: None,
        reasoning: Some(ReasoningFormat::Think),
    };
    let text = "[THINK]a[/THINK]b";
    assert_eq!(
        parse(format, "", &[], [text]),
        [Part::Content(text.to_owned())]
    );
    assert_eq!(
        parse(Format::default(), "<think>", &[], [text]),
        [Part::Content(text.to_owned())]
    );
}

#[test]
fn open_reasoning_end_is_the_closing_tag() {
    assert_eq!(
        open_reasoning_end("<|assistant|><think>\n"),
        Some("</think>")
    );
    assert_eq!(open_reasoning_end("<think></think>\n"), None);
    assert_eq!(open_reasoning_end("[THINK]"), Some("[/THINK]"));
}

#[test]
fn is_reasoning_only_inside_reasoning_with_text() {
    let harmony = Format {
        tools: Some(ToolFormat::Harmony),
        reasoning: Some(ReasoningFormat::Harmony),
    };
    for (format, prompt, output, expected) in [
        (ANY, "<think>\n", "", false),
        (ANY, "<think>\n", "Hm", true),
        (ANY, "", "<think>\nHm, </thi", true),
        (ANY, "<think>", "Hm</think>", false),
        (ANY, "<think>", "Hm</think>\nYes", false),
        (ANY, "", "Yes", false),
        (harmony, "", "<|channel|>analysis<|message|>Hm", true),
        (
            harmony,
            "",
            "<|channel|>analysis<|message|>Hm<|end|>",
            false,
        ),
        (harmony, "", "<|channel|>final<|message|>Yes", false),
    ] {
        let mut parser = Parser::new(format, prompt, &[]);
        parser.push(output);
        assert_eq!(parser.is_reasoning(), expected, "{prompt:?} {output:?}");
    }
}

proptest! {
    #[test]
    fn parser_without_tools_keeps_all_text(pieces in prop::collection::vec(".{0,6}|<|think>|</|tool_call>|\\[TOOL_CALLS\\]", 0..12)) {
        let text = pieces.concat();
        let format = Format { reasoning: None, ..ANY };
        let parts = parse(format, "", &[], pieces.iter().map(String::as_str));
        prop_assert_eq!(split(&parts), (String::new(), text.clone()));

        // Reasoning only drops its tags and the white space around it.
        let parts = parse(ANY, "", &[], pieces.iter().map(String::as_str));
        let (reasoning, content) = split(&parts);
        if reasoning.is_empty() && !text.trim_start().starts_with("<think>") {
            prop_assert_eq!(content, text);
        } else {
            let visible = |text: &str| -> String {
                let text = text.replace("<think>", "").replace("</think>", "");
                text.split_whitespace().collect()
            };
            // One at a time: the end of one and the start of the other may look like a tag.
            prop_assert_eq!(visible(&reasoning) + &visible(&content), visible(&text));
        }
    }
}
