//! A conversation as `transformers` hands it to a template.

use serde_json::{Map, Value};

use super::TemplateError;

/// Names under which clients send a message's reasoning. Templates read the first, gpt-oss the second.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Marks where the last message ends in the rendered text. The trailing space tells whether the template trims.
const CONTINUE_MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Leaves out fields that are null, which many templates would print, and gives reasoning the names templates read.
pub(super) fn normalize(messages: &[Value]) -> Result<Vec<Map<String, Value>>, TemplateError> {
    if messages.is_empty() {
        return Err(TemplateError::Conversation(
            "the conversation is empty; give at least one message".to_owned(),
        ));
    }
    messages
        .iter()
        .enumerate()
        .map(|(index, message)| {
            let fields = message.as_object().ok_or_else(|| {
                TemplateError::Conversation(format!(
                    "message {index} is not an object with `role` and `content`"
                ))
            })?;
            let mut message: Map<String, Value> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if let Some(reasoning) = REASONING
                .iter()
                .find_map(|name| message.get(*name))
                .cloned()
            {
                let mut named = Map::from_iter([("thinking".to_owned(), reasoning.clone())]);
                named.extend(message);
                named.insert("reasoning_content".to_owned(), reasoning);
                message = named;
            }
            Ok(message)
        })
        .collect()
}

/// A last message that the model is to continue.
#[derive(Debug)]
pub(super) struct Continuation {
    text: String,
}

impl Continuation {
    /// Marks the end of the last message's text.
    pub(super) fn mark(messages: &mut [Map<String, Value>]) -> Result<Self, TemplateError> {
        let last = messages
            .last_mut()
            .and_then(|message| message.get_mut("content"));
        let text = match last {
            Some(Value::String(text)) => Some(text),
            Some(Value::Array(parts)) => {
                parts
                    .iter_mut()
                    .rev()
                    .find_map(|part| match part.get_mut("text") {
                        Some(Value::String(text)) => Some(text),
                        _ => None,
                    })
            }
            _ => None,
        };
        let Some(text) = text else {
            return Err(TemplateError::Conversation(
                "the last message has no text to continue".to_owned(),
            ));
        };
        let continuation = Self { text: text.clone() };
        text.push_str(CONTINUE_MARK);
        Ok(continuation)
    }

    /// Cuts the rendered prompt where the last message ends.
    pub(super) fn cut(&self, mut rendered: String) -> Result<String, TemplateError> {
        let mark = CONTINUE_MARK.trim_end();
        let position = rendered
            .rfind(mark)
            .filter(|_| rendered.contains(self.text.trim()));
        let Some(position) = position else {
            return Err(TemplateError::Conversation(
                "the last message cannot be continued: the chat template does not show its text as it is".to_owned(),
            ));
        };
        let keeps_space = rendered[position..].starts_with(CONTINUE_MARK);
        rendered.truncate(position);
        if !keeps_space {
            rendered.truncate(rendered.trim_end().len());
        }
        Ok(rendered)
    }
}
