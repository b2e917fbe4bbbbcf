//! Messages in the form that `transformers` passes to templates.

use serde_json::{Map, Value, json};

use super::TemplateError;

/// Fields in which clients send the reasoning of a message. Templates read the first, gpt-oss the second.
pub(crate) const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Marks the end of the last message in the rendered text. Whether the trailing space is kept shows whether the template trims.
const CONTINUE_MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Removes null fields, which many templates would print, and adds reasoning under the names that templates read.
pub(super) fn normalize(messages: &[Value]) -> Result<Vec<Map<String, Value>>, TemplateError> {
    if messages.is_empty() {
        return Err(TemplateError::Conversation(
            "there are no messages; at least one is required".to_owned(),
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
            if let Some(reasoning) = REASONING_FIELDS
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

/// Replaces contents that are strings by lists of one text part.
pub(crate) fn to_parts(messages: &mut [Value]) {
    for message in messages {
        if let Some(content) = message.get_mut("content")
            && content.is_string()
        {
            let text = content.take();
            *content = json!([{"type": "text", "text": text}]);
        }
    }
}

/// The last message, if the model continues it.
#[derive(Debug)]
pub(super) struct Continuation {
    text: String,
}

impl Continuation {
    /// Appends the mark to the text of the last message.
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

    /// Truncates the rendered prompt after the last message.
    pub(super) fn cut(&self, mut rendered: String) -> Result<String, TemplateError> {
        let mark = CONTINUE_MARK.trim_end();
        let position = rendered
            .rfind(mark)
            .filter(|_| rendered.contains(self.text.trim()));
        let Some(position) = position else {
            return Err(TemplateError::Conversation(
                "the last message cannot be continued: the chat template modifies its text"
                    .to_owned(),
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
