//! Shared tools and helpers to parse text in pieces.

use mlxm_chat::parsing::{Format, Parser, Part, Tool};
use serde_json::{Value, json};

/// Four tools with arguments of all types.
pub fn tools() -> Vec<Tool> {
    let tool = |name: &str, properties: Value, required: &[&str]| Tool {
        name: name.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
    };
    vec![
        tool(
            "weather",
            json!({"city": {"type": "string"}, "days": {"type": "integer"}, "metric": {"type": "boolean"}}),
            &["city"],
        ),
        tool(
            "write_file",
            json!({"path": {"type": "string"}, "content": {"type": "string"}}),
            &["path", "content"],
        ),
        tool(
            "search",
            json!({
                "query": {"type": "string"},
                "filters": {"type": "object"},
                "tags": {"type": "array", "items": {"type": "string"}},
            }),
            &["query"],
        ),
        tool("now", json!({}), &[]),
    ]
}

/// Parses text in these pieces and joins consecutive parts of the same kind.
pub fn parse<'a>(
    format: Format,
    prompt: &str,
    tools: &[Tool],
    pieces: impl IntoIterator<Item = &'a str>,
) -> Vec<Part> {
    let mut parser = Parser::new(format, prompt, tools);
    let mut parts = Vec::new();
    for piece in pieces {
        parts.extend(parser.push(piece));
    }
    parts.extend(parser.finish());
    join(parts)
}

/// Joins consecutive parts of the same kind.
pub fn join(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Reasoning(text)), Part::Reasoning(more))
            | (Some(Part::Content(text)), Part::Content(more)) => text.push_str(&more),
            (
                Some(Part::Arguments { index, delta }),
                Part::Arguments {
                    index: same,
                    delta: more,
                },
            ) if *index == same => delta.push_str(&more),
            (_, part) => joined.push(part),
        }
    }
    joined
}

/// Asserts that `text` has the same parts when split at any one or two positions, and character by character.
pub fn assert_independent_of_splits(format: Format, prompt: &str, tools: &[Tool], text: &str) {
    let whole = parse(format, prompt, tools, [text]);
    let borders: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    for (place, first) in borders.iter().enumerate() {
        for second in &borders[place..] {
            let pieces = [&text[..*first], &text[*first..*second], &text[*second..]];
            let parts = parse(format, prompt, tools, pieces);
            assert_eq!(parts, whole, "{text:?} split at {first} and {second}");
        }
    }
    let characters = borders.windows(2).map(|pair| &text[pair[0]..pair[1]]);
    let parts = parse(format, prompt, tools, characters);
    assert_eq!(parts, whole, "{text:?} character by character");
}

/// Parts as lines of text.
pub fn render(parts: &[Part]) -> String {
    let lines = parts.iter().map(|part| match part {
        Part::Reasoning(text) => format!("reasoning {text:?}"),
        Part::Content(text) => format!("content   {text:?}"),
        Part::ToolCall { index, name } => format!("call {index}    {name}"),
        Part::Arguments { index, delta } => {
            let valid = serde_json::from_str::<Value>(delta).is_ok();
            let note = if valid { "" } else { "   (incomplete)" };
            format!("  {index}       {delta}{note}")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The names and parsed arguments of the calls.
pub fn calls(parts: &[Part]) -> Vec<(String, Value)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Part::ToolCall { name, .. } => calls.push((name.clone(), String::new())),
            Part::Arguments { index, delta } => calls[*index].1.push_str(delta),
            _ => {}
        }
    }
    calls
        .into_iter()
        .map(|(name, arguments)| (name, serde_json::from_str(&arguments).unwrap()))
        .collect()
}
