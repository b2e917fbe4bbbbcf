//! Converts input items to chat messages.

use serde_json::{Value, json};

use super::client_tools;
use crate::error::{ApiError, excerpt};
use crate::fields::Warnings;
use crate::openai::messages::{text_of, tool_text};

/// Builds chat messages from items.
pub struct Conversation<'a> {
    warnings: &'a mut Warnings,
    messages: Vec<Value>,
    /// Consecutive items of the assistant, which become one message.
    turn: Turn,
}

/// An assistant message under construction.
#[derive(Debug, Default)]
struct Turn {
    reasoning: Option<String>,
    content: Option<String>,
    calls: Vec<Value>,
}

impl<'a> Conversation<'a> {
    /// A conversation with only instructions.
    pub fn new(instructions: Option<&str>, warnings: &'a mut Warnings) -> Self {
        let mut conversation = Self {
            warnings,
            messages: Vec::new(),
            turn: Turn::default(),
        };
        if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
            conversation.push_instructions("system", instructions.to_owned());
        }
        conversation
    }

    /// Adds the item at `path`.
    ///
    /// # Errors
    /// If the item is invalid or not supported.
    pub fn push(&mut self, path: &str, item: &Value) -> Result<(), ApiError> {
        if !item.is_object() {
            return Err(ApiError::at(path, &format!("must be {ITEMS}")));
        }
        let text = |name: &str| match &item[name] {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(ApiError::at(&format!("{path}.{name}"), "must be a string")),
        };
        if let Some((name, arguments)) = client_tools::call(item) {
            let function = json!({"name": name, "arguments": arguments});
            let call = json!({"id": text("call_id")?, "type": "function", "function": function});
            self.turn.calls.push(call);
            return Ok(());
        }
        match &item["type"] {
            Value::Null if item["role"].is_null() && item["content"].is_null() => {
                Err(ApiError::at(path, &format!("must be {ITEMS}")))
            }
            Value::Null => self.push_message_item(path, item),
            Value::String(kind) => match kind.as_str() {
                "message" => self.push_message_item(path, item),
                "function_call" => {
                    let (name, id) = (text("name")?, text("call_id")?);
                    let name = match item["namespace"].as_str() {
                        Some(namespace) => client_tools::qualified(namespace, name),
                        None => name.to_owned(),
                    };
                    let function = json!({"name": name, "arguments": text("arguments")?});
                    let call = json!({"id": id, "type": "function", "function": function});
                    self.turn.calls.push(call);
                    Ok(())
                }
                kind if kind == "function_call_output" || client_tools::is_output(kind) => {
                    // Outputs of local shells had the call's id as their own.
                    let id = text("call_id").or_else(|error| text("id").map_err(|_| error))?;
                    let output =
                        tool_output(&format!("{path}.output"), &item["output"], self.warnings)?;
                    self.push_message(
                        json!({"role": "tool", "tool_call_id": id, "content": output}),
                    );
                    Ok(())
                }
                "reasoning" => {
                    let reasoning = reasoning(path, item)?;
                    if self.turn.content.is_some() || !self.turn.calls.is_empty() {
                        self.end_turn();
                    }
                    if let Some(reasoning) = reasoning {
                        let before = self.turn.reasoning.take();
                        let joined = before
                            .map_or(reasoning.clone(), |before| format!("{before}\n{reasoning}"));
                        self.turn.reasoning = Some(joined);
                    }
                    Ok(())
                }
                // With a name it is a call of the client's tools.
                "custom_tool_call" => text("name").map(|_| ()),
                "item_reference" => {
                    let message = format!(
                        "{path} has the type item_reference, which is not supported: send the item, or use previous_response_id"
                    );
                    Err(ApiError::unsupported(path, message))
                }
                _ if item["role"].is_string() && is_content(&item["content"]) => {
                    self.push_message_item(path, item)
                }
                // Items of hosted tools, whose results the text after them repeats, and what clients note for themselves.
                kind => {
                    let kind = excerpt(kind);
                    let reason = format!("items of the type {kind} are not read");
                    self.warnings.ignored(path, &reason);
                    Ok(())
                }
            },
            _ => Err(ApiError::at(
                &format!("{path}.type"),
                &format!("must be a string: {path} must be {ITEMS}"),
            )),
        }
    }

    /// The messages.
    pub fn finish(mut self) -> Vec<Value> {
        self.end_turn();
        self.messages
    }

    fn push_message_item(&mut self, path: &str, item: &Value) -> Result<(), ApiError> {
        let content = joined_text(&format!("{path}.content"), &item["content"])?;
        match item["role"].as_str() {
            Some("user") => self.push_message(json!({"role": "user", "content": content})),
            Some("assistant") => {
                if self.turn.content.is_some() || !self.turn.calls.is_empty() {
                    self.end_turn();
                }
                self.turn.content = Some(content);
            }
            Some(role @ ("system" | "developer")) => self.push_instructions(role, content),
            _ => {
                return Err(ApiError::at(
                    &format!("{path}.role"),
                    "must be one of user, assistant, system, developer",
                ));
            }
        }
        Ok(())
    }

    fn push_message(&mut self, message: Value) {
        self.end_turn();
        self.messages.push(message);
    }

    fn push_instructions(&mut self, role: &str, text: String) {
        self.push_message(json!({"role": role, "content": text}));
    }

    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.reasoning.is_none() && turn.content.is_none() && turn.calls.is_empty() {
            return;
        }
        let mut message = json!({"role": "assistant", "content": turn.content.unwrap_or_default()});
        if let Some(reasoning) = turn.reasoning {
            message["reasoning_content"] = reasoning.into();
        }
        if !turn.calls.is_empty() {
            message["tool_calls"] = turn.calls.into();
        }
        self.messages.push(message);
    }
}

/// What an item must be.
const ITEMS: &str = "a message with role and content, or an item of the type reasoning, function_call, custom_tool_call, \
                     local_shell_call, shell_call, apply_patch_call, or of the type of their outputs, such as function_call_output";

/// Whether the value has the form of a message's content.
fn is_content(value: &Value) -> bool {
    value.is_string() || value.is_array()
}

/// The text of a tool's output. Images are replaced by a placeholder: the client cannot take back what a tool returned, and an
/// error would end its conversation.
fn tool_output(path: &str, output: &Value, warnings: &mut Warnings) -> Result<String, ApiError> {
    let parts = match output {
        Value::Null => return Ok(String::new()),
        Value::Array(parts) => match client_tools::shell_output(output) {
            Some(text) => return Ok(text),
            None => parts,
        },
        output => return joined_text(path, output),
    };
    tool_text(path, parts, warnings)
}

/// Joins the texts of a string or a list of parts.
fn joined_text(path: &str, value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => text_of(path, parts),
        _ => Err(ApiError::at(path, "must be a string or a list of parts")),
    }
}

/// The text of a reasoning item: its content, otherwise its summary. Encrypted content is ignored.
fn reasoning(path: &str, item: &Value) -> Result<Option<String>, ApiError> {
    for (field, kind) in [("content", "reasoning_text"), ("summary", "summary_text")] {
        let path = format!("{path}.{field}");
        let parts = match &item[field] {
            Value::Null => continue,
            Value::Array(parts) => parts,
            _ => return Err(ApiError::at(&path, "must be a list")),
        };
        let texts = parts.iter().enumerate().map(|(at, part)| {
            let text = part["text"].as_str().filter(|_| part["type"] == kind);
            text.ok_or_else(|| {
                let problem = format!("must have the type {kind} and a text");
                ApiError::at(&format!("{path}[{at}]"), &problem)
            })
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        if !texts.is_empty() {
            return Ok(Some(texts.join("\n")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(instructions: Option<&str>, items: &[Value]) -> Result<Vec<Value>, ApiError> {
        let mut warnings = Warnings::default();
        let mut conversation = Conversation::new(instructions, &mut warnings);
        for (index, item) in items.iter().enumerate() {
            conversation.push(&format!("input[{index}]"), item)?;
        }
        Ok(conversation.finish())
    }

    #[test]
    fn items_of_one_assistant_turn_are_merged_into_one_message() {
        let items = [
            json!({"role": "user", "content": [{"type": "input_text", "text": "Time"}, {"type": "input_text", "text": "here?"}]}),
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}),
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]}),
            json!({"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{\"zone\": \"UTC\"}"}),
            json!({"type": "function_call", "call_id": "c2", "name": "now", "arguments": ""}),
            json!({"type": "function_call_output", "call_id": "c1", "output": "12:00"}),
            json!({"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "13:00"}]}),
            json!({"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "noon"}]}),
            json!({"role": "assistant", "content": "It is 12:00."}),
            json!({"role": "assistant", "content": "Or so."}),
        ];
        let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "now", "arguments": arguments}});
        assert_eq!(
            messages(Some("Be brief."), &items).unwrap(),
            [
                json!({"role": "system", "content": "Be brief."}),
                json!({"role": "user", "content": "Time\nhere?"}),
                json!({
                    "role": "assistant",
                    "content": "Let me see.",
                    "reasoning_content": "hm",
                    "tool_calls": [call("c1", "{\"zone\": \"UTC\"}"), call("c2", "")],
                }),
                json!({"role": "tool", "tool_call_id": "c1", "content": "12:00"}),
                json!({"role": "tool", "tool_call_id": "c2", "content": "13:00"}),
                json!({"role": "assistant", "content": "It is 12:00.", "reasoning_content": "noon"}),
                json!({"role": "assistant", "content": "Or so."}),
            ]
        );
    }

    #[test]
    fn invalid_items_are_rejected_with_their_path() {
        let problem = |item: Value| messages(None, &[item]).unwrap_err().to_string();
        for (item, path) in [
            (json!(1), "input[0] must be"),
            (json!({}), "input[0] must be"),
            (
                json!({"type": 1}),
                "input[0].type must be a string: input[0] must be",
            ),
        ] {
            let problem = problem(item);
            let expected = format!("{path} a message with role and content, or an item of");
            assert!(problem.starts_with(&expected), "{problem}");
            assert!(problem.contains("custom_tool_call"), "{problem}");
        }
        assert_eq!(
            problem(json!({"role": "user"})),
            "input[0].content must be a string or a list of parts"
        );
        assert_eq!(
            problem(json!({"role": "tool", "content": "x"})),
            "input[0].role must be one of user, assistant, system, developer"
        );
        assert!(
            problem(json!({"role": "user", "content": [{"type": "input_image"}]}))
                .starts_with("input[0].content[0] has the type input_image")
        );
        assert_eq!(
            problem(json!({"type": "function_call", "call_id": "c", "name": "f"})),
            "input[0].arguments must be a string"
        );
        assert!(
            problem(json!({"type": "item_reference", "id": "msg_1"}))
                .starts_with("input[0] has the type item_reference")
        );
        assert_eq!(
            problem(json!({"type": "reasoning", "summary": [{"text": "x"}]})),
            "input[0].summary[0] must have the type summary_text and a text"
        );
        let encrypted = json!({"type": "reasoning", "summary": [], "encrypted_content": "x"});
        assert_eq!(messages(None, &[encrypted]).unwrap(), [] as [Value; 0]);
    }

    #[test]
    fn calls_of_custom_tools_and_shells_are_function_calls_of_the_history() {
        let items = [
            json!({"type": "custom_tool_call", "call_id": "c1", "name": "edit", "input": "x"}),
            json!({"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}),
            json!({"type": "function_call", "call_id": "c2", "namespace": "mcp__a", "name": "b", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "c2", "output": null}),
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
            json!({"type": "shell_call", "call_id": "c3", "action": {"commands": ["ls"]}}),
            json!({"type": "shell_call_output", "call_id": "c3", "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}),
        ];
        let call = |id: &str, name: &str, arguments: Value| {
            let function = json!({"name": name, "arguments": arguments});
            let call = json!({"id": id, "type": "function", "function": function});
            json!({"role": "assistant", "content": "", "tool_calls": [call]})
        };
        let output =
            |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
        assert_eq!(
            messages(None, &items).unwrap(),
            [
                call("c1", "edit", json!({"input": "x"})),
                output("c1", "done"),
                call("c2", "mcp__a__b", json!("{}")),
                output("c2", ""),
                call("c3", "shell", json!({"commands": ["ls"]})),
                output("c3", "a\nexit code 0"),
            ]
        );
    }

    #[test]
    fn items_of_other_types_are_skipped_unless_they_are_messages() {
        let screenshot = json!({"type": "computer_screenshot", "image_url": "u"});
        let items = [
            json!({"type": "computer_call", "call_id": "k", "action": {"type": "screenshot"}}),
            json!({"type": "computer_call_output", "call_id": "k", "output": screenshot}),
            json!({"type": "mcp_approval_request", "id": "w", "arguments": "{}", "name": "n", "server_label": "s"}),
            json!({"type": "mcp_approval_response", "approval_request_id": "w", "approve": true}),
            json!({"type": "compaction_trigger"}),
            json!({"type": "additional_tools", "role": "developer", "tools": []}),
            json!({"type": "ghost_snapshot", "ghost_commit": {}}),
            json!({"type": "web_search_call", "id": "ws_1"}),
            json!({"type": "invented_call", "id": "x_1"}),
        ];
        for item in items {
            let mut warnings = Warnings::default();
            let mut conversation = Conversation::new(None, &mut warnings);
            conversation.push("input[0]", &item).unwrap();
            assert_eq!(conversation.finish(), [] as [Value; 0]);
            let kind = item["type"].as_str().unwrap();
            assert_eq!(
                warnings.to_string(),
                format!("input[0] was ignored: items of the type {kind} are not read")
            );
        }
        let message = json!({"type": "agent_message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]});
        assert_eq!(
            messages(None, &[message]).unwrap(),
            [json!({"role": "user", "content": "Hi"})]
        );
    }
}
