//! Chats, messages and what belongs to them between the store and the API.

use mlxm_store::chats as stored;
use mlxm_store::messages::{self, MessageBody};
use mlxm_store::{attachments, personas, prompts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::attachments::kind_of;
use crate::wire::attachments::Attachment;
use crate::wire::chats::{Chat, ChatEntry, ChatProtocol, FoundPart, FoundText};
use crate::wire::library::{Persona, PersonaConfig, Prompt, PromptConfig};
use crate::wire::messages::{Message, MessageRole, MessageState, Part, ToolCall};
use crate::wire::runs::Usage;

impl From<stored::ChatProtocol> for ChatProtocol {
    fn from(protocol: stored::ChatProtocol) -> Self {
        match protocol {
            stored::ChatProtocol::OpenAi => Self::OpenAi,
            stored::ChatProtocol::Anthropic => Self::Anthropic,
        }
    }
}

impl From<ChatProtocol> for stored::ChatProtocol {
    fn from(protocol: ChatProtocol) -> Self {
        match protocol {
            ChatProtocol::OpenAi => Self::OpenAi,
            ChatProtocol::Anthropic => Self::Anthropic,
        }
    }
}

impl From<stored::Chat> for Chat {
    fn from(chat: stored::Chat) -> Self {
        Self {
            id: chat.id,
            title: chat.config.title,
            model: chat.config.model,
            protocol: chat.config.protocol.into(),
            persona_id: chat.config.persona_id,
            system_prompt: chat.config.system_prompt,
            settings: chat.config.settings.into(),
            tags: chat.config.tags,
            is_pinned: chat.config.is_pinned,
            is_temporary: chat.is_temporary,
            leaf_id: chat.leaf_id,
            message_count: chat.message_count,
            created_at_ms: chat.created_at_ms,
            updated_at_ms: chat.active_at_ms,
            deleted_at_ms: chat.deleted_at_ms,
        }
    }
}

impl From<stored::ListedChat> for ChatEntry {
    fn from(listed: stored::ListedChat) -> Self {
        let part = |part: stored::FoundPart| FoundPart {
            text: part.text,
            is_match: part.is_match,
        };
        Self {
            chat: listed.chat.into(),
            found: listed.found.map(|found| FoundText {
                message: found.message_id,
                parts: found.parts.into_iter().map(part).collect(),
            }),
        }
    }
}

impl From<messages::Message> for Message {
    fn from(message: messages::Message) -> Self {
        let body = message.body;
        Self {
            id: message.id,
            parent_id: message.parent_id,
            role: message.role.into(),
            content: body.content.into_iter().map(Part::from).collect(),
            reasoning: body.reasoning,
            tool_calls: body.tool_calls.into_iter().map(ToolCall::from).collect(),
            state: message.state.into(),
            finish_reason: body
                .finish_reason
                .and_then(|reason| read(Value::String(reason))),
            problem: body.problem.and_then(read),
            model: message.model,
            run: message.run_id,
            usage: body.usage.map(Usage::from),
            receipt: body.receipt.and_then(read),
            created_at_ms: message.created_at_ms,
        }
    }
}

/// What the store keeps of a message of the API.
pub fn body(message: Message) -> MessageBody {
    let call = |call: ToolCall| messages::ToolCall {
        id: call.id,
        name: call.name,
        arguments: call.arguments,
    };
    MessageBody {
        content: message.content.into_iter().map(Into::into).collect(),
        reasoning: message.reasoning,
        tool_calls: message.tool_calls.into_iter().map(call).collect(),
        finish_reason: message.finish_reason.and_then(|reason| {
            let name = write(&reason)?;
            name.as_str().map(str::to_owned)
        }),
        problem: message.problem.as_ref().and_then(write),
        usage: message.usage.map(Into::into),
        receipt: message.receipt.as_ref().and_then(write),
    }
}

/// A stored value of a type of the API. One that an earlier version wrote in another form is left out.
fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

fn write(value: &impl Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}

impl From<messages::Usage> for Usage {
    fn from(usage: messages::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            queue_ms: usage.queue_ms,
            time_to_first_token_ms: usage.time_to_first_token_ms,
            reasoning_ms: usage.reasoning_ms,
            duration_ms: usage.duration_ms,
        }
    }
}

impl From<Usage> for messages::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            queue_ms: usage.queue_ms,
            time_to_first_token_ms: usage.time_to_first_token_ms,
            reasoning_ms: usage.reasoning_ms,
            duration_ms: usage.duration_ms,
        }
    }
}

impl From<messages::Role> for MessageRole {
    fn from(role: messages::Role) -> Self {
        match role {
            messages::Role::User => Self::User,
            messages::Role::Assistant => Self::Assistant,
        }
    }
}

impl From<MessageRole> for messages::Role {
    fn from(role: MessageRole) -> Self {
        match role {
            MessageRole::User => Self::User,
            MessageRole::Assistant => Self::Assistant,
        }
    }
}

impl From<messages::MessageState> for MessageState {
    fn from(state: messages::MessageState) -> Self {
        match state {
            messages::MessageState::Running => Self::Running,
            messages::MessageState::Complete => Self::Complete,
            messages::MessageState::Stopped => Self::Stopped,
            messages::MessageState::Interrupted => Self::Interrupted,
            messages::MessageState::Failed => Self::Failed,
        }
    }
}

impl From<MessageState> for messages::MessageState {
    fn from(state: MessageState) -> Self {
        match state {
            MessageState::Running => Self::Running,
            MessageState::Complete => Self::Complete,
            MessageState::Stopped => Self::Stopped,
            MessageState::Interrupted => Self::Interrupted,
            MessageState::Failed => Self::Failed,
        }
    }
}

impl From<messages::Part> for Part {
    fn from(part: messages::Part) -> Self {
        match part {
            messages::Part::Text { text } => Self::Text { text },
            messages::Part::Attachment {
                hash,
                name,
                media_type,
                size_bytes,
            } => Self::Attachment {
                hash,
                name,
                media_type,
                size_bytes,
            },
        }
    }
}

impl From<Part> for messages::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Text { text } => Self::Text { text },
            Part::Attachment {
                hash,
                name,
                media_type,
                size_bytes,
            } => Self::Attachment {
                hash,
                name,
                media_type,
                size_bytes,
            },
        }
    }
}

impl From<messages::ToolCall> for ToolCall {
    fn from(call: messages::ToolCall) -> Self {
        Self {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }
    }
}

impl From<attachments::Attachment> for Attachment {
    fn from(attachment: attachments::Attachment) -> Self {
        Self {
            kind: kind_of(&attachment.media_type),
            hash: attachment.hash,
            name: attachment.name,
            media_type: attachment.media_type,
            size_bytes: attachment.size_bytes,
            created_at_ms: attachment.created_at_ms,
        }
    }
}

impl From<prompts::Prompt> for Prompt {
    fn from(prompt: prompts::Prompt) -> Self {
        Self {
            id: prompt.id,
            variables: prompts::variables(&prompt.config.text),
            config: PromptConfig {
                name: prompt.config.name,
                description: prompt.config.description,
                text: prompt.config.text,
            },
            created_at_ms: prompt.created_at_ms,
            updated_at_ms: prompt.updated_at_ms,
        }
    }
}

impl From<PromptConfig> for prompts::PromptConfig {
    fn from(config: PromptConfig) -> Self {
        Self {
            name: config.name,
            description: config.description,
            text: config.text,
        }
    }
}

impl From<personas::Persona> for Persona {
    fn from(persona: personas::Persona) -> Self {
        Self {
            id: persona.id,
            config: PersonaConfig {
                name: persona.config.name,
                description: persona.config.description,
                system_prompt: persona.config.system_prompt,
                settings: persona.config.settings.into(),
            },
            is_built_in: persona.is_built_in,
            created_at_ms: persona.created_at_ms,
            updated_at_ms: persona.updated_at_ms,
        }
    }
}

impl From<PersonaConfig> for personas::PersonaConfig {
    fn from(config: PersonaConfig) -> Self {
        Self {
            name: config.name,
            description: config.description,
            system_prompt: config.system_prompt,
            settings: config.settings.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn messages_keep_their_content() {
        let before = MessageBody {
            reasoning: Some("Hm".to_owned()),
            finish_reason: Some("stop".to_owned()),
            usage: Some(messages::Usage {
                prompt_tokens: 3,
                reasoning_ms: Some(7),
                ..messages::Usage::default()
            }),
            ..MessageBody::from_text("Hi")
        };
        let stored = messages::Message {
            id: Uuid::from_u128(1),
            chat_id: Uuid::nil(),
            parent_id: None,
            role: messages::Role::Assistant,
            body: before.clone(),
            model: Some("small".to_owned()),
            run_id: None,
            seq: 0,
            state: messages::MessageState::Complete,
            created_at_ms: 1,
            updated_at_ms: 2,
        };
        assert_eq!(body(stored.into()), before);
    }
}
