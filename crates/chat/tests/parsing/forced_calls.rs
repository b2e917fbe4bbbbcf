//! Grammars and parsers agree: all text that a grammar allows is parsed as calls with valid arguments.

use std::collections::BTreeMap;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use mlxm_chat::constraint::GrammarError;
use mlxm_chat::parsing::{ForcedCall, Format, Part, ReasoningFormat, ToolFormat};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::common::{parse, tools};
use crate::rendering::write;

/// Ends of free text.
const ENDINGS: [&str; 10] = [
    "</parameter>",
    "</｜DSML｜parameter>",
    "</steptml:parameter>",
    "]<]minimax[>[",
    "</arg_value>",
    "<escape>",
    "<|\"|>",
    "</think>",
    "<|end|>",
    "\"",
];
/// Bytes that end a value, in order of preference.
const FINISHING: &[u8] = b"})]:\"";
/// Text is free if more than this many characters are allowed.
const MANY: usize = 90;

struct Llguidance {
    factory: ParserFactory,
}

impl Llguidance {
    /// With a vocabulary of single bytes.
    fn new() -> Self {
        let mut factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).unwrap();
        factory.quiet();
        Self { factory }
    }

    fn matcher(&self, grammar: &str) -> Matcher {
        let grammar = TopLevelGrammar::from_lark(grammar.to_owned());
        Matcher::new(Ok(self.factory.create_parser(grammar).unwrap()))
    }

    fn accepts(&self, grammar: &str, text: &str) -> bool {
        let mut matcher = self.matcher(grammar);
        let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
        matcher.try_consume_tokens(&tokens).unwrap() == tokens.len()
            && matcher.is_accepting().unwrap()
    }

    /// Text that the grammar allows: first by `choices`, then on a short path to the end.
    fn walk(&self, grammar: &str, choices: &[u8]) -> String {
        let mut matcher = self.matcher(grammar);
        let mut choices = choices.iter().map(|choice| usize::from(*choice));
        let mut text = Vec::new();
        for _ in 0..4000 {
            if matcher.is_stopped() || (choices.len() == 0 && matcher.is_accepting().unwrap()) {
                return String::from_utf8(text).unwrap();
            }
            let bytes = allowed(&mut matcher);
            let next = match choices.next() {
                Some(choice) if bytes.len() <= MANY || choice >= 64 => {
                    vec![bytes[choice % bytes.len()]]
                }
                None if bytes.len() <= MANY => vec![finishing(&text, &bytes)],
                _ => ending(&matcher),
            };
            for byte in &next {
                matcher.consume_token(u32::from(*byte)).unwrap();
            }
            text.extend(next);
        }
        panic!("does not end: {}", String::from_utf8_lossy(&text));
    }
}

/// The allowed byte that probably leads to the end fastest.
fn finishing(text: &[u8], allowed: &[u8]) -> u8 {
    let in_number = text.last().is_some_and(u8::is_ascii_digit);
    let ends = |byte: &&u8| {
        if in_number {
            !byte.is_ascii_digit() && !b".eE".contains(byte)
        } else {
            byte.is_ascii_digit()
        }
    };
    let visible = |byte: &&u8| !byte.is_ascii_whitespace();
    let direct = FINISHING.iter().find(|byte| allowed.contains(byte));
    let next = direct.or_else(|| allowed.iter().find(ends));
    *next
        .or_else(|| allowed.iter().find(visible))
        .unwrap_or(&allowed[0])
}

/// The allowed bytes; only ASCII, if there are any.
fn allowed(matcher: &mut Matcher) -> Vec<u8> {
    let mask = matcher.compute_mask().unwrap();
    let of = |range: std::ops::RangeInclusive<u8>| -> Vec<u8> {
        range
            .filter(|byte| mask.is_allowed(u32::from(*byte)))
            .collect()
    };
    let ascii = of(0..=127);
    if ascii.is_empty() {
        of(128..=255)
    } else {
        ascii
    }
}

/// The end of the free text at this position, or a letter.
fn ending(matcher: &Matcher) -> Vec<u8> {
    let found = ENDINGS.iter().find(|ending| {
        let tokens: Vec<u32> = ending.bytes().map(u32::from).collect();
        let mut ahead = matcher.deep_clone();
        ahead.try_consume_tokens(&tokens).unwrap() == tokens.len()
            && (ahead.is_stopped() || allowed(&mut ahead).len() <= MANY)
    });
    found.map_or(b"x".to_vec(), |ending| ending.as_bytes().to_vec())
}

fn reasoning(format: ToolFormat) -> ReasoningFormat {
    match format {
        ToolFormat::Harmony => ReasoningFormat::Harmony,
        _ => ReasoningFormat::Think,
    }
}

#[test]
fn grammar_accepts_calls_as_models_write_them() {
    let llguidance = Llguidance::new();
    let call = (
        "write_file".to_owned(),
        json!({"path": "a.txt", "content": "x < y"}),
    );
    for format in ToolFormat::ALL {
        let syntax = Format {
            tools: Some(format),
            reasoning: None,
        };
        let grammar = |choice| {
            syntax
                .tool_grammar(&tools(), choice, false, "", &|_| None)
                .unwrap()
        };
        let mut text = write(format, std::slice::from_ref(&call));
        match format {
            // The vocabulary lacks the tokens of version 11.
            ToolFormat::Mistral => {
                let (name, arguments) = &call;
                text =
                    format!("[TOOL_CALLS][{{\"name\": \"{name}\", \"arguments\": {arguments}}}]");
            }
            // Strings are written as JSON.
            ToolFormat::Pythonic | ToolFormat::Lfm2 | ToolFormat::Olmo3 => {
                text = text.replace('\'', "\"");
            }
            // Values are in the lines of their tags.
            ToolFormat::SeedOss => {
                text = text
                    .replace("path>\n", "path>")
                    .replace("content>\n", "content>")
                    .replace("\n</parameter>", "</parameter>");
            }
            // The completion ends with the arguments.
            ToolFormat::Harmony => text = text.replace("<|call|>", ""),
            _ => {}
        }
        assert!(
            llguidance.accepts(&grammar(ForcedCall::Required), &text),
            "{format}: {text}"
        );
        assert!(
            llguidance.accepts(&grammar(ForcedCall::Named("write_file")), &text),
            "{format}: {text}"
        );
        assert!(
            !llguidance.accepts(&grammar(ForcedCall::Named("now")), &text),
            "{format}: {text}"
        );
        assert!(
            !llguidance.accepts(&grammar(ForcedCall::Required), "Hello."),
            "{format}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn parser_finds_calls_in_all_allowed_text(
        choices in prop::collection::vec(any::<u8>(), 0..100),
        opened in any::<bool>(),
        parallel in any::<bool>(),
    ) {
        let llguidance = Llguidance::new();
        let prompt = if opened { "<think>\n" } else { "" };
        for format in ToolFormat::ALL {
            let syntax = Format { tools: Some(format), reasoning: Some(reasoning(format)) };
            let grammar = syntax.tool_grammar(&tools(), ForcedCall::Required, parallel, prompt, &|_| None).unwrap();
            let text = llguidance.walk(&grammar, &choices);
            let mut arguments = BTreeMap::<usize, String>::new();
            for part in parse(syntax, prompt, &tools(), [text.as_str()]) {
                match part {
                    Part::ToolCall { index, .. } => {
                        arguments.insert(index, String::new());
                    }
                    Part::Arguments { index, delta } => arguments.entry(index).or_default().push_str(&delta),
                    Part::Reasoning(_) => {}
                    Part::Content(content) => prop_assert!(false, "{}: {:?} has content {:?}", format, text, content),
                }
            }
            prop_assert!(!arguments.is_empty(), "{}: {:?}", format, text);
            prop_assert!(parallel || arguments.len() == 1, "{}: {:?}", format, text);
            for (_, json) in arguments {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&json).is_ok(), "{}: {:?}: {}", format, text, json);
            }
        }
    }
}

/// A response grammar and content that matches it.
const RESPONSE: &str = r#"%json {"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"], "additionalProperties": false}"#;
const CONTENT: &str = r#"{"sky": "blue"}"#;

#[test]
fn response_grammar_applies_to_content_after_reasoning() {
    let llguidance = Llguidance::new();
    for format in ToolFormat::ALL {
        let syntax = Format {
            tools: Some(format),
            reasoning: Some(reasoning(format)),
        };
        let thought = match format {
            ToolFormat::Harmony => "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant",
            _ => "<think>\nHm.\n</think>\n\n",
        };
        let response = match format {
            ToolFormat::Harmony => format!("<|channel|>final<|message|>{CONTENT}"),
            _ => CONTENT.to_owned(),
        };
        let either = syntax.tools_or_response_grammar(&tools(), false, RESPONSE, "", &|_| None);
        let undelimited = [
            ToolFormat::Llama3Json,
            ToolFormat::Pythonic,
            ToolFormat::Xlam,
            ToolFormat::Json,
        ];
        if undelimited.contains(&format) {
            assert_eq!(either, Err(GrammarError::UndelimitedToolCalls));
            continue;
        }
        let either = either.unwrap();
        let content_only = syntax.response_grammar(RESPONSE, "", &|_| None).unwrap();
        let call = llguidance.walk(&either, &[]);
        for thought in ["", thought] {
            let text = format!("{thought}{response}");
            assert!(llguidance.accepts(&either, &text), "{format}: {text}");
            assert!(llguidance.accepts(&content_only, &text), "{format}: {text}");
            assert!(
                !llguidance.accepts(&either, &format!("{thought}Hello.")),
                "{format}"
            );
            let parts = parse(syntax, "", &tools(), [text.as_str()]);
            let content = parts.iter().filter_map(|part| match part {
                Part::Content(content) => Some(content.as_str()),
                _ => None,
            });
            assert_eq!(content.collect::<String>(), CONTENT, "{format}: {parts:?}");
        }
        let calls = syntax
            .tool_grammar(&tools(), ForcedCall::Required, false, "", &|_| None)
            .unwrap();
        assert!(
            llguidance.accepts(&calls, &call) || llguidance.accepts(&content_only, &call),
            "{format}: {call}"
        );
    }
}

#[test]
fn a_call_inside_reasoning_may_end_the_output() {
    let llguidance = Llguidance::new();
    for format in [
        ToolFormat::Hermes,
        ToolFormat::Qwen3Coder,
        ToolFormat::Glm4,
        ToolFormat::DeepSeek,
        ToolFormat::KimiK2,
        ToolFormat::MiniMax,
    ] {
        let syntax = Format {
            tools: Some(format),
            reasoning: Some(ReasoningFormat::Think),
        };
        let call = write(format, &[("now".to_owned(), json!({}))]);
        let mention = format!("A {} in a line.\n</think>", call.replace('\n', " "));
        for (prompt, start) in [("<think>\n", ""), ("", "<think>\n")] {
            let grammar = syntax
                .tools_or_response_grammar(&tools(), true, RESPONSE, prompt, &|_| None)
                .unwrap();
            let accepts = |output: &str| llguidance.accepts(&grammar, &format!("{start}{output}"));
            for end in ["", "\n</think>", "\n</think>\n\n", "\nThat is all."] {
                let output = format!("Hm.\n{call}{end}");
                assert!(accepts(&output), "{format}: {output}");
                let parts = parse(
                    syntax,
                    prompt,
                    &tools(),
                    [format!("{start}{output}").as_str()],
                );
                let is_call = |part: &&Part| matches!(part, Part::ToolCall { .. });
                assert_eq!(
                    parts.iter().filter(is_call).count(),
                    1,
                    "{format}: {output}"
                );
            }
            assert!(accepts(&format!("Hm.\n{call}\n</think>\n{CONTENT}")));
            assert!(accepts(&format!("Hm.\n</think>\n{CONTENT}")));
            assert!(accepts(&format!("{mention}\n{CONTENT}")));
            for incomplete in [
                "Hm.".to_owned(),
                "Hm.\n</think>".to_owned(),
                "Hm.\n</think>\nHello.".to_owned(),
                mention.clone(),
                format!("Hm.\n{call}\n</think>\nHello."),
            ] {
                assert!(!accepts(&incomplete), "{format}: {incomplete}");
            }
        }
    }
}

#[test]
fn grammar_limits_the_number_of_calls() {
    let llguidance = Llguidance::new();
    let mut checked = Vec::new();
    for format in ToolFormat::ALL {
        let syntax = Format {
            tools: Some(format),
            reasoning: None,
        };
        let grammar = syntax
            .tool_grammar(&tools(), ForcedCall::Required, true, "", &|_| None)
            .unwrap();
        let accepts = |count: usize| {
            let calls = vec![("now".to_owned(), json!({})); count];
            llguidance.accepts(&grammar, &write(format, &calls))
        };
        // The grammars of some formats use another notation than `write`.
        if accepts(2) {
            assert!(accepts(16) && !accepts(17), "{format}");
            checked.push(format);
        }
    }
    assert!(checked.len() >= 8, "{checked:?}");
}
