//! Round trips of written and parsed calls.

use mlxm_chat::parsing::{Format, Part, ReasoningFormat, ToolFormat};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::common::{calls, parse, tools};
use crate::rendering::write;

/// Text with many fragments of syntax.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zà-ü0-9 ]{1,6}",
        1 => Just("🦀".to_owned()),
        4 => prop::sample::select(vec![
            "<", ">", "</", "\n", "\t", "\"", "'", "\\", "{", "}", "[", "]", "(", ")", ",", ":", ";", "=", "|", "<|",
            "</param", "<tool", "```", "True", "null", "\\n", "\\u0041",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z_]{1,6}", inner, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

pub fn call() -> impl Strategy<Value = (String, Value)> {
    prop_oneof![
        (text(), any::<i32>(), any::<bool>()).prop_map(|(city, days, metric)| (
            "weather".to_owned(),
            json!({"city": city, "days": days, "metric": metric})
        )),
        (text(), text()).prop_map(|(path, content)| (
            "write_file".to_owned(),
            json!({"path": path, "content": content})
        )),
        (text(), object(value()), prop::collection::vec(text(), 0..3)).prop_map(
            |(query, filters, tags)| (
                "search".to_owned(),
                json!({"query": query, "filters": filters, "tags": tags})
            )
        ),
        Just(("now".to_owned(), json!({}))),
    ]
}

/// `text` without white space and without the delimiters that are dropped if they do not enclose a call.
fn without_delimiters(text: &str) -> String {
    const DELIMITERS: [&str; 40] = [
        "]<]minimax[>[</tool_call>",
        "]<]minimax[>[<tool_call>",
        "<｜tool_calls_end｜>",
        "<｜tool_calls_begin｜>",
        "<|tools_suffix|>",
        "<|tools_prefix|>",
        "</｜DSML｜function_calls>",
        "<｜DSML｜function_calls>",
        "</function_calls>",
        "<function_calls>",
        "</seed:tool_call>",
        "<seed:tool_call>",
        "<|action_end|>",
        "<|action_start|>",
        "</tool_calls>",
        "<tool_calls>",
        "<|tool_calls_section_end|>",
        "<|tool_calls_section_begin|>",
        "<|END_ACTION|>",
        "<|START_ACTION|>",
        "<|/tool_call|>",
        "<|tool_call|>",
        "functools",
        "</tools>",
        "<tools>",
        "<tool_call>",
        "<minimax:tool_call>",
        "<start_function_call>",
        "<|tool_call>",
        "<|python_start|>",
        "<|tool_call_start|>",
        "<｜tool▁calls▁begin｜>",
        "[TOOL_CALLS]",
        "</tool_call>",
        "</minimax:tool_call>",
        "<end_function_call>",
        "<tool_call|>",
        "<|python_end|>",
        "<|tool_call_end|>",
        "<｜tool▁calls▁end｜>",
    ];
    let mut text = text.to_owned();
    for delimiter in DELIMITERS {
        text = text.replace(delimiter, "");
    }
    let mut text: String = text.split_whitespace().collect();
    // The parser drops a delimiter that the end of a call truncates, too.
    while let Some(length) = DELIMITERS
        .iter()
        .flat_map(|delimiter| {
            delimiter
                .char_indices()
                .map(move |(at, _)| &delimiter[..at])
        })
        .filter(|start| !start.is_empty() && text.ends_with(*start))
        .map(str::len)
        .max()
    {
        text.truncate(text.len() - length);
    }
    text
}

proptest! {
    #[test]
    fn parser_inverts_write(
        calls_written in prop::collection::vec(call(), 1..4),
        before in "([a-z]{1,5} ?){0,3}",
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        for format in ToolFormat::ALL {
            let is_at_start = matches!(format, ToolFormat::Xlam | ToolFormat::Pythonic | ToolFormat::Harmony);
            let before = if is_at_start { "" } else { before.trim_end() };
            let text = format!("{before}{}", write(format, &calls_written));
            let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&borders)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]);
            let syntax = Format { tools: Some(format), reasoning: None };
            let parts = parse(syntax, "", &tools(), pieces);
            prop_assert_eq!(&calls(&parts), &calls_written, "{}: {:?}", format, text);
            let content: String = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Content(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            prop_assert_eq!(content, before, "{}: {:?}", format, text);
        }
    }

    #[test]
    fn parser_handles_truncated_and_corrupted_calls(
        calls_written in prop::collection::vec(call(), 1..3),
        cut in any::<Index>(),
        corrupted in any::<Index>(),
        with in "[<>{}\\[\\]\"',:=| a]{0,2}",
    ) {
        for format in ToolFormat::ALL {
            let mut text = write(format, &calls_written);
            let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            text.truncate(*cut.get(&borders));
            let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            text.insert_str(*corrupted.get(&borders), &with);
            let syntax = Format { tools: Some(format), reasoning: Some(ReasoningFormat::AnyTags) };
            let whole = parse(syntax, "", &tools(), [text.as_str()]);
            let characters = text.char_indices().map(|(at, one)| &text[at..at + one.len_utf8()]);
            let parts = parse(syntax, "", &tools(), characters);
            prop_assert_eq!(&parts, &whole, "{}: {:?}", format, text);
            // The parser drops headers of channels.
            let is_call = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
            if !is_call && format != ToolFormat::Harmony {
                let content: String = parts
                    .iter()
                    .map(|part| match part {
                        Part::Content(text) | Part::Reasoning(text) => text.as_str(),
                        _ => "",
                    })
                    .collect();
                prop_assert_eq!(without_delimiters(&content), without_delimiters(&text), "{}", format);
            }
        }
    }

    #[test]
    fn text_without_calls_is_content(text in text()) {
        for format in ToolFormat::ALL {
            let syntax = Format { tools: Some(format), reasoning: None };
            let parts = parse(syntax, "", &tools(), text.char_indices().map(|(at, one)| &text[at..at + one.len_utf8()]));
            let expected = if text.is_empty() { vec![] } else { vec![Part::Content(text.clone())] };
            prop_assert_eq!(parts, expected, "{}", format);
        }
    }
}
