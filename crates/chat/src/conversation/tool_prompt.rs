//! Tool prompt fallback for templates without tool support: the system message describes the tools, and calls use the
//! most common syntax (Hermes).

use serde_json::{Map, Value, json};

use crate::parsing::ToolFormat;

const HEADER: &str = "You may call functions to help the user. These are their signatures, one JSON object per line:\n<tools>\n";
const TOOLS_END: &str = "</tools>";
const SYNTAX: &str = "\nTo call a function, write a JSON object with its name and arguments between tags:\n\
<tool_call>\n{\"name\": \"FUNCTION\", \"arguments\": {\"ARGUMENT\": \"VALUE\"}}\n</tool_call>";

/// Describes `tools` in the system message; writes tool calls and tool results as text. A model is expected to know any other
/// `syntax` of calls than Hermes.
pub fn add_tool_prompt(messages: &[Value], tools: &[Value], syntax: ToolFormat) -> Vec<Value> {
    let mut description = HEADER.to_owned();
    for tool in tools {
        description.push_str(&tool["function"].to_string());
        description.push('\n');
    }
    description.push_str(TOOLS_END);
    if syntax == ToolFormat::Hermes {
        description.push_str(SYNTAX);
    }
    let mut messages: Vec<Value> = messages.iter().map(as_text).collect();
    match messages.first_mut() {
        Some(first) if first["role"] == "system" => {
            let text = first["content"].as_str().unwrap_or_default();
            first["content"] = format!("{text}\n\n{description}").into();
        }
        _ => messages.insert(0, json!({"role": "system", "content": description})),
    }
    messages
}

fn as_text(message: &Value) -> Value {
    let content = message["content"].as_str().unwrap_or_default();
    if message["role"] == "tool" {
        let content = format!("<tool_response>\n{content}\n</tool_response>");
        return json!({"role": "user", "content": content});
    }
    let Some(calls) = message["tool_calls"].as_array() else {
        return message.clone();
    };
    let mut text = content.to_owned();
    for call in calls {
        let function = &call["function"];
        let call = json!({"name": function["name"], "arguments": function["arguments"]});
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("<tool_call>\n");
        text.push_str(&call.to_string());
        text.push_str("\n</tool_call>");
    }
    let mut plain: Map<String, Value> = message.as_object().cloned().unwrap_or_default();
    plain.remove("tool_calls");
    plain.insert("content".to_owned(), text.into());
    Value::Object(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_calls_and_results_are_written_as_text() {
        let tools = [
            json!({"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}),
        ];
        let call = json!({"id": "1", "type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}});
        let messages = [
            json!({"role": "system", "content": "Be brief."}),
            json!({"role": "user", "content": "What time is it?"}),
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "1", "content": "12:00"}),
        ];
        let described = add_tool_prompt(&messages, &tools, ToolFormat::Hermes);
        let system = described[0]["content"].as_str().unwrap();
        assert!(system.starts_with("Be brief.\n\n") && system.contains("\n{\"name\":\"now\","));
        assert!(system.ends_with("</tool_call>"));
        let other = add_tool_prompt(&messages, &tools, ToolFormat::Qwen3Coder);
        assert!(other[0]["content"].as_str().unwrap().ends_with("</tools>"));
        assert_eq!(
            described[2]["content"],
            "<tool_call>\n{\"name\":\"now\",\"arguments\":{\"zone\":\"UTC\"}}\n</tool_call>"
        );
        assert_eq!(described[2].get("tool_calls"), None);
        assert_eq!(
            described[3],
            json!({"role": "user", "content": "<tool_response>\n12:00\n</tool_response>"})
        );
        assert_eq!(
            add_tool_prompt(&messages[1..2], &tools, ToolFormat::Hermes)[0]["role"],
            "system"
        );
    }
}
