//! What a grammar allows is what the parser reads: any way through a grammar ends in calls with valid arguments.

use std::collections::BTreeMap;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use mlxm_chat::parsing::{ForcedCall, Format, Part, ReasoningFormat, ToolFormat, ToolGrammarError};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::common::{parse, tools};
use crate::rendering::write;

/// What ends free text.
const ENDINGS: [&str; 7] = [
    "</parameter>",
    "</arg_value>",
    "<escape>",
    "<|\"|>",
    "</think>",
    "<|end|>",
    "\"",
];
/// What leads to the end of a value, the most direct first.
const FINISHING: &[u8] = b"})]:\"";
/// Where more characters than these may come, text is free.
const MANY: usize = 90;

struct Llguidance {
    factory: ParserFactory,
}

impl Llguidance {
    /// Over a vocabulary of single bytes.
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

    /// A text that the grammar allows; `choices` says where to go for a while, then the way is short.
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
        panic!("no end: {}", String::from_utf8_lossy(&text));
    }
}

/// The byte of those allowed that leads to the end soonest.
fn finishing(text: &[u8], allowed: &[u8]) -> u8 {
    let in_number = text.last().is_some_and(u8::is_ascii_digit);
    let ends = |byte: &&u8| {
        if in_number {
            !byte.is_ascii_digit() && !b".eE".contains(byte)
        } else {
            byte.is_ascii_digit()
        }
    };
    let dark = |byte: &&u8| !byte.is_ascii_whitespace();
    let direct = FINISHING.iter().find(|byte| allowed.contains(byte));
    let next = direct.or_else(|| allowed.iter().find(ends));
    *next
        .or_else(|| allowed.iter().find(dark))
        .unwrap_or(&allowed[0])
}

/// The bytes that may come next: of ASCII, if there are any.
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

/// What ends the free text that comes next, or a letter.
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
fn calls_as_models_write_them_are_allowed() {
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
            // The vocabulary has no tokens for the newer form.
            ToolFormat::Mistral => {
                let (name, arguments) = &call;
                text =
                    format!("[TOOL_CALLS][{{\"name\": \"{name}\", \"arguments\": {arguments}}}]");
            }
            // Strings are written as JSON.
            ToolFormat::Pythonic | ToolFormat::Lfm2 => text = text.replace('\'', "\""),
            // The answer ends with the arguments.
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
    fn every_allowed_text_is_a_call(
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

/// A form, and a text that has it.
const FORM: &str = r#"%json {"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"], "additionalProperties": false}"#;
const FORMED: &str = r#"{"sky": "blue"}"#;

#[test]
fn what_is_no_call_has_its_form_behind_the_reasoning() {
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
        let answer = match format {
            ToolFormat::Harmony => format!("<|channel|>final<|message|>{FORMED}"),
            _ => FORMED.to_owned(),
        };
        let either = syntax.tools_or_response_grammar(&tools(), false, FORM, "", &|_| None);
        if [ToolFormat::Llama3Json, ToolFormat::Pythonic].contains(&format) {
            assert_eq!(either, Err(ToolGrammarError::NoMark));
            continue;
        }
        let either = either.unwrap();
        let form = syntax.response_grammar(FORM, "", &|_| None).unwrap();
        let call = llguidance.walk(&either, &[]);
        for thought in ["", thought] {
            let text = format!("{thought}{answer}");
            assert!(llguidance.accepts(&either, &text), "{format}: {text}");
            assert!(llguidance.accepts(&form, &text), "{format}: {text}");
            assert!(
                !llguidance.accepts(&either, &format!("{thought}Hello.")),
                "{format}"
            );
            let parts = parse(syntax, "", &tools(), [text.as_str()]);
            let content = parts.iter().filter_map(|part| match part {
                Part::Content(content) => Some(content.as_str()),
                _ => None,
            });
            assert_eq!(content.collect::<String>(), FORMED, "{format}: {parts:?}");
        }
        let calls = syntax
            .tool_grammar(&tools(), ForcedCall::Required, false, "", &|_| None)
            .unwrap();
        assert!(
            llguidance.accepts(&calls, &call) || llguidance.accepts(&form, &call),
            "{format}: {call}"
        );
    }
}

#[test]
fn calls_come_to_an_end() {
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
        // Some formats are written in other ways than the grammar has them.
        if accepts(2) {
            assert!(accepts(16) && !accepts(17), "{format}");
            checked.push(format);
        }
    }
    assert!(checked.len() >= 8, "{checked:?}");
}
