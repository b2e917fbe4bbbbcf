//! Grammars that force a call.

use mlxm_chat::constraint::GrammarError;
use mlxm_chat::parsing::{ForcedCall, Format, ReasoningFormat, Tool, ToolFormat};
use serde_json::json;

use crate::common::tools;

fn text_only(_delimiter: &str) -> Option<u32> {
    None
}

/// A vocabulary with some delimiters as special tokens.
fn tokens(delimiter: &str) -> Option<u32> {
    let known = [
        "[TOOL_CALLS]",
        "[ARGS]",
        "<|channel|>",
        "<|message|>",
        "<|end|>",
        "<|start|>",
        "<|constrain|>",
    ];
    let index = known.iter().position(|one| *one == delimiter)?;
    u32::try_from(100 + index).ok()
}

fn format(tools: ToolFormat) -> Format {
    Format {
        tools: Some(tools),
        reasoning: None,
    }
}

#[test]
fn tool_grammar_of_every_format() {
    let mut tools = tools();
    tools.remove(1);
    for syntax in ToolFormat::ALL {
        let grammar = format(syntax)
            .tool_grammar(&tools, ForcedCall::Required, true, "", &text_only)
            .unwrap();
        insta::assert_snapshot!(syntax.as_str(), grammar);
    }
}

#[test]
fn tool_grammar_uses_ids_of_special_tokens() {
    for syntax in [ToolFormat::Mistral, ToolFormat::Harmony] {
        let grammar = format(syntax)
            .tool_grammar(&tools(), ForcedCall::Named("now"), true, "", &tokens)
            .unwrap();
        insta::assert_snapshot!(format!("{syntax}_tokens"), grammar);
    }
}

#[test]
fn tool_grammar_allows_reasoning_unless_the_prompt_closes_it() {
    let format = Format {
        tools: Some(ToolFormat::Hermes),
        reasoning: Some(ReasoningFormat::Think),
    };
    let start = |prompt: &str| {
        let grammar = format
            .tool_grammar(
                &tools(),
                ForcedCall::Named("now"),
                false,
                prompt,
                &text_only,
            )
            .unwrap();
        grammar.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        start("assistant\n"),
        "start: (/[ \\n]{1,4}/? \"<think>\" text_1 /[ \\n]{1,4}/?)? rule_2"
    );
    assert_eq!(start("<think>\n"), "start: text_1 /[ \\n]{1,4}/? rule_2");
    assert_eq!(start("<think>\n\n</think>\n\n"), "start: rule_1");
}

#[test]
fn tool_grammar_errors() {
    let grammar = |format: Format, tools: &[Tool], choice| {
        format
            .tool_grammar(tools, choice, false, "", &text_only)
            .unwrap_err()
    };
    let hermes = format(ToolFormat::Hermes);
    assert_eq!(
        grammar(Format::default(), &tools(), ForcedCall::Required),
        GrammarError::UnknownToolFormat
    );
    assert_eq!(
        grammar(hermes, &[], ForcedCall::Required),
        GrammarError::NoTools
    );
    assert_eq!(
        grammar(hermes, &tools(), ForcedCall::Named("launch")).to_string(),
        "there is no tool \"launch\"; the tools are weather, write_file, search, now"
    );
}

#[test]
fn tool_grammar_accepts_tools_without_a_schema() {
    let tool = Tool {
        name: "ping".to_owned(),
        parameters: json!(null),
    };
    for syntax in ToolFormat::ALL {
        let grammar = format(syntax).tool_grammar(
            std::slice::from_ref(&tool),
            ForcedCall::Required,
            false,
            "",
            &text_only,
        );
        assert!(grammar.unwrap().contains("ping"));
    }
}

#[test]
fn tool_grammar_omits_annotations() {
    let tool = Tool {
        name: "note".to_owned(),
        parameters: json!({
            "description": "PROSE",
            "properties": {
                "description": {"type": "array", "items": {"title": "PROSE", "type": "string"}},
                "kind": {"anyOf": [{"description": "PROSE", "type": "integer"}, {"$ref": "#/$defs/kind"}]},
            },
            "$defs": {"kind": {"default": "PROSE", "type": "null"}},
        }),
    };
    for syntax in ToolFormat::ALL {
        let grammar = format(syntax)
            .tool_grammar(
                std::slice::from_ref(&tool),
                ForcedCall::Required,
                false,
                "",
                &text_only,
            )
            .unwrap();
        assert!(!grammar.contains("PROSE"), "{grammar}");
        assert!(grammar.contains("description"), "{grammar}");
    }
}
