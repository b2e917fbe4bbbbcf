//! The request of a run, in each API.

use mlxm_store::messages::{Message, MessageState, Part, Role, ToolCall, join_texts};
use serde_json::{Map, Value, json};

use crate::gateway::chats::ChatStores;
use crate::gateway::chats::attachments::FilePart;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::attachments::AttachmentKind;
use crate::wire::chats::ChatProtocol;
use crate::wire::profiles::RequestSettings;

/// Anthropic's API requires a limit: without one, there is only that of the context.
const NO_LIMIT: u64 = i32::MAX as u64;

/// A message of a prompt, in no API yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptMessage {
    /// Whether the model wrote it.
    is_response: bool,
    /// Its text, with its files.
    text: String,
    reasoning: Option<String>,
    calls: Vec<ToolCall>,
}

/// What a run sends.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    /// Name of the model or profile.
    pub model: String,
    /// The API.
    pub protocol: ChatProtocol,
    /// Settings, those of the profile included.
    pub settings: RequestSettings,
    /// The messages, oldest first.
    pub messages: Vec<PromptMessage>,
    /// Whether the last message is a response to continue.
    pub continues: bool,
}

/// The messages of a branch as a prompt has them, with the content of their files. Responses without text are left out.
///
/// # Errors
/// If the branch has an image, which no model sees yet, or the database fails.
pub async fn prompt_of(
    stores: &ChatStores,
    model: &str,
    branch: &[&Message],
) -> Result<Vec<PromptMessage>, ApiProblem> {
    let mut messages = Vec::new();
    for message in branch {
        let is_response = message.role == Role::Assistant;
        let place = format!("message {}", message.id);
        let texts = part_texts(stores, model, &place, &message.body.content).await?;
        let body = &message.body;
        // A call that was cut off has no valid arguments.
        let is_complete = message.state == MessageState::Complete;
        let calls = if is_complete {
            body.tool_calls.clone()
        } else {
            Vec::new()
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let text = join_texts(&texts);
        if is_response && text.is_empty() && calls.is_empty() {
            continue;
        }
        messages.push(PromptMessage {
            is_response,
            text,
            reasoning: body.reasoning.clone(),
            calls,
        });
    }
    Ok(messages)
}

/// The text of each part, that of a file between lines that name it. `place` is what has the parts, for errors.
///
/// # Errors
/// As [`prompt_of`].
pub async fn part_texts(
    stores: &ChatStores,
    model: &str,
    place: &str,
    parts: &[Part],
) -> Result<Vec<String>, ApiProblem> {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        if let Part::Text { text } = part {
            texts.push(text.clone());
        }
        if let Some(file) = FilePart::of(part) {
            texts.push(file_text(stores, model, place, &file).await?);
        }
    }
    Ok(texts)
}

/// The text of a file, between lines that name it.
async fn file_text(
    stores: &ChatStores,
    model: &str,
    place: &str,
    file: &FilePart<'_>,
) -> Result<String, ApiProblem> {
    let name = file.name;
    if file.kind() == AttachmentKind::Image {
        let detail = format!("{model} reads text, and {place} has the image {name}");
        return Err(ApiProblem::new(Code::IMAGES_UNSUPPORTED, detail)
            .with_advice("describe the image in words, or edit the message without it"));
    }
    let text = file.text(stores).await?;
    Ok(format!(
        "<file name=\"{name}\">\n{}\n</file>",
        text.trim_end_matches('\n')
    ))
}

/// The settings by the names that servers know.
pub fn defaults(settings: &RequestSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

impl PromptMessage {
    /// A message of the user with these texts.
    pub fn of_user(texts: &[&str]) -> Self {
        Self {
            is_response: false,
            text: join_texts(texts),
            reasoning: None,
            calls: Vec::new(),
        }
    }

    /// The beginning of a response, to continue it.
    pub fn beginning(text: String, reasoning: Option<String>) -> Self {
        Self {
            is_response: true,
            text,
            reasoning,
            calls: Vec::new(),
        }
    }

    /// The message in the form of OpenAI's API.
    fn to_openai(&self) -> Value {
        let role = if self.is_response {
            "assistant"
        } else {
            "user"
        };
        let mut message = json!({"role": role, "content": self.text});
        if let Some(reasoning) = &self.reasoning {
            message["reasoning_content"] = reasoning.clone().into();
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|call| {
                json!({
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                })
            });
            message["tool_calls"] = calls.collect();
        }
        message
    }

    fn to_anthropic(&self) -> Value {
        if !self.is_response {
            return json!({"role": "user", "content": self.text});
        }
        let mut blocks = Vec::new();
        if let Some(reasoning) = &self.reasoning {
            blocks.push(json!({"type": "thinking", "thinking": reasoning, "signature": ""}));
        }
        if !self.text.is_empty() {
            blocks.push(json!({"type": "text", "text": self.text}));
        }
        for call in &self.calls {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            blocks.push(
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}),
            );
        }
        json!({"role": "assistant", "content": blocks})
    }
}

impl RunRequest {
    /// The route.
    pub fn path(&self) -> &'static str {
        match self.protocol {
            ChatProtocol::OpenAi => "/v1/chat/completions",
            ChatProtocol::Anthropic => "/v1/messages",
        }
    }

    /// The body. The settings are not in it: they come with the request like those of a profile.
    pub fn body(&self) -> Value {
        let messages = self.messages.iter();
        match self.protocol {
            ChatProtocol::OpenAi => json!({
                "model": self.model,
                "messages": messages.map(PromptMessage::to_openai).collect::<Vec<_>>(),
                "stream": true,
                "stream_options": {"include_usage": true},
                "return_progress": true,
                "continue_final_message": self.continues,
            }),
            ChatProtocol::Anthropic => json!({
                "model": self.model,
                "messages": messages.map(PromptMessage::to_anthropic).collect::<Vec<_>>(),
                "stream": true,
                "max_tokens": self.settings.max_tokens.unwrap_or(NO_LIMIT),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocol: ChatProtocol) -> RunRequest {
        let user = PromptMessage {
            is_response: false,
            text: "Hi".to_owned(),
            reasoning: None,
            calls: Vec::new(),
        };
        let response = PromptMessage {
            is_response: true,
            text: "Reading".to_owned(),
            reasoning: Some("hm".to_owned()),
            calls: vec![ToolCall {
                id: "c1".to_owned(),
                name: "read".to_owned(),
                arguments: "{\"a\":1}".to_owned(),
            }],
        };
        RunRequest {
            model: "tiny".to_owned(),
            protocol,
            settings: RequestSettings {
                max_tokens: Some(7),
                ..RequestSettings::default()
            },
            messages: vec![user, response],
            continues: true,
        }
    }

    #[test]
    fn each_api_has_its_form_of_the_conversation() {
        let openai = request(ChatProtocol::OpenAi).body();
        assert_eq!(openai["continue_final_message"], true);
        assert_eq!(openai["max_tokens"], Value::Null);
        assert_eq!(
            openai["messages"][1],
            json!({"role": "assistant", "content": "Reading", "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{\"a\":1}"}},
            ]})
        );
        let anthropic = request(ChatProtocol::Anthropic).body();
        assert_eq!(anthropic["max_tokens"], 7);
        assert_eq!(
            anthropic["messages"],
            json!([
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "text", "text": "Reading"},
                    {"type": "tool_use", "id": "c1", "name": "read", "input": {"a": 1}},
                ]},
            ])
        );
    }
}
