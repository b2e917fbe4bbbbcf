//! Items of a response's input, in the form that templates read.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::openai::messages::{arguments_of, text_of};

/// Names what is wrong at a place of the request.
fn wrong(place: &str, problem: &str) -> ApiError {
    ApiError::field(place, format!("{place} {problem}"))
}

/// Messages that are made of items, one after the other.
pub struct Conversation {
    messages: Vec<Value>,
    /// What the assistant did in a row belongs to one message.
    turn: Turn,
}

/// What the assistant thinks, says and calls before it waits.
#[derive(Debug, Default)]
struct Turn {
    reasoning: Option<String>,
    content: Option<String>,
    calls: Vec<Value>,
}

impl Conversation {
    /// A conversation that has only instructions.
    pub fn new(instructions: Option<&str>) -> Self {
        let mut conversation = Self {
            messages: Vec::new(),
            turn: Turn::default(),
        };
        if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
            conversation.instruct("system", instructions.to_owned());
        }
        conversation
    }

    /// Adds the item at `place`.
    ///
    /// # Errors
    /// Names the item that makes no sense or that this model cannot read.
    pub fn push(&mut self, place: &str, item: &Value) -> Result<(), ApiError> {
        if !item.is_object() {
            return Err(wrong(place, "must be an object"));
        }
        let text = |name: &str| match &item[name] {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(wrong(&format!("{place}.{name}"), "must be a string")),
        };
        match &item["type"] {
            Value::Null => self.message(place, item),
            Value::String(kind) => match kind.as_str() {
                "message" => self.message(place, item),
                "function_call" => {
                    let (name, id) = (text("name")?, text("call_id")?);
                    let function =
                        json!({"name": name, "arguments": arguments_of(text("arguments")?)});
                    let call = json!({"id": id, "type": "function", "function": function});
                    self.turn.calls.push(call);
                    Ok(())
                }
                "function_call_output" => {
                    let id = text("call_id")?;
                    let output = texts(&format!("{place}.output"), &item["output"])?;
                    self.say(json!({"role": "tool", "tool_call_id": id, "content": output}));
                    Ok(())
                }
                "reasoning" => {
                    let reasoning = reasoning(place, item)?;
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
                "item_reference" => {
                    let message = format!(
                        "{place} refers to another item, which is not supported: send the item itself, or previous_response_id"
                    );
                    Err(ApiError::unsupported(place, message))
                }
                kind => {
                    let message = format!(
                        "{place} is of the type {kind}; only message, function_call, function_call_output and reasoning are known"
                    );
                    Err(ApiError::unsupported(place, message))
                }
            },
            _ => Err(wrong(&format!("{place}.type"), "must be a string")),
        }
    }

    /// The messages.
    pub fn finish(mut self) -> Vec<Value> {
        self.end_turn();
        self.messages
    }

    fn message(&mut self, place: &str, item: &Value) -> Result<(), ApiError> {
        let content = texts(&format!("{place}.content"), &item["content"])?;
        match item["role"].as_str() {
            Some("user") => self.say(json!({"role": "user", "content": content})),
            Some("assistant") => {
                if self.turn.content.is_some() || !self.turn.calls.is_empty() {
                    self.end_turn();
                }
                self.turn.content = Some(content);
            }
            Some(role @ ("system" | "developer")) => self.instruct(role, content),
            _ => {
                return Err(wrong(
                    &format!("{place}.role"),
                    "must be one of user, assistant, system, developer",
                ));
            }
        }
        Ok(())
    }

    fn say(&mut self, message: Value) {
        self.end_turn();
        self.messages.push(message);
    }

    fn instruct(&mut self, role: &str, text: String) {
        self.say(json!({"role": role, "content": text}));
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

/// The text of a string or a list of parts.
fn texts(place: &str, value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => text_of(place, parts),
        _ => Err(wrong(place, "must be a string or a list of parts")),
    }
}

/// The text of a reasoning item: what was thought, else its summary. What is encrypted nobody can read here.
fn reasoning(place: &str, item: &Value) -> Result<Option<String>, ApiError> {
    for (field, kind) in [("content", "reasoning_text"), ("summary", "summary_text")] {
        let place = format!("{place}.{field}");
        let parts = match &item[field] {
            Value::Null => continue,
            Value::Array(parts) => parts,
            _ => return Err(wrong(&place, "must be a list")),
        };
        let texts = parts.iter().enumerate().map(|(at, part)| {
            let text = part["text"].as_str().filter(|_| part["type"] == kind);
            text.ok_or_else(|| {
                let problem = format!("must have the type {kind} and a text");
                wrong(&format!("{place}[{at}]"), &problem)
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
        let mut conversation = Conversation::new(instructions);
        for (index, item) in items.iter().enumerate() {
            conversation.push(&format!("input[{index}]"), item)?;
        }
        Ok(conversation.finish())
    }

    #[test]
    fn items_become_messages_and_a_turn_one_message() {
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
        let call = |id: &str, arguments: Value| json!({"id": id, "type": "function", "function": {"name": "now", "arguments": arguments}});
        assert_eq!(
            messages(Some("Be brief."), &items).unwrap(),
            [
                json!({"role": "system", "content": "Be brief."}),
                json!({"role": "user", "content": "Time\nhere?"}),
                json!({
                    "role": "assistant",
                    "content": "Let me see.",
                    "reasoning_content": "hm",
                    "tool_calls": [call("c1", json!({"zone": "UTC"})), call("c2", json!({}))],
                }),
                json!({"role": "tool", "tool_call_id": "c1", "content": "12:00"}),
                json!({"role": "tool", "tool_call_id": "c2", "content": "13:00"}),
                json!({"role": "assistant", "content": "It is 12:00.", "reasoning_content": "noon"}),
                json!({"role": "assistant", "content": "Or so."}),
            ]
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let problem = |item: Value| messages(None, &[item]).unwrap_err().to_string();
        assert_eq!(problem(json!(1)), "input[0] must be an object");
        assert_eq!(
            problem(json!({"type": 1})),
            "input[0].type must be a string"
        );
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
                .starts_with("input[0].content[0] is of the type input_image")
        );
        assert_eq!(
            problem(json!({"type": "function_call", "call_id": "c", "name": "f"})),
            "input[0].arguments must be a string"
        );
        assert!(
            problem(json!({"type": "item_reference", "id": "msg_1"}))
                .starts_with("input[0] refers to another item")
        );
        assert!(
            problem(json!({"type": "web_search_call", "id": "ws_1"}))
                .starts_with("input[0] is of the type web_search_call")
        );
        assert_eq!(
            problem(json!({"type": "reasoning", "summary": [{"text": "x"}]})),
            "input[0].summary[0] must have the type summary_text and a text"
        );
        let opaque = json!({"type": "reasoning", "summary": [], "encrypted_content": "x"});
        assert_eq!(messages(None, &[opaque]).unwrap(), [] as [Value; 0]);
    }
}
