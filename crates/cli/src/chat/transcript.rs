//! The conversation so far.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::generate::{Completion, RequestMetrics};

/// Messages in the format of chat templates, starting with an optional system message.
#[derive(Debug, Default)]
pub struct Transcript {
    messages: Vec<Value>,
    last_metrics: Option<RequestMetrics>,
}

impl Transcript {
    /// An empty conversation.
    pub fn new(system: Option<String>) -> Self {
        let mut transcript = Self::default();
        transcript.set_system(system);
        transcript
    }

    /// All messages, oldest first.
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// Metrics of the last complete response.
    pub fn last_metrics(&self) -> Option<&RequestMetrics> {
        self.last_metrics.as_ref()
    }

    /// Adds a user message.
    pub fn push_user(&mut self, message: String) {
        self.messages
            .push(json!({"role": "user", "content": message}));
    }

    /// Removes the last user message after a failed request.
    pub fn pop_user(&mut self) {
        self.messages.pop();
    }

    /// Adds the assistant message. If it is empty, the user message is removed instead.
    pub fn push_assistant(&mut self, completion: Completion) {
        self.last_metrics = completion.metrics.or(self.last_metrics);
        if completion.content.is_empty() && completion.reasoning.is_empty() {
            self.pop_user();
            return;
        }
        let mut message = json!({"role": "assistant", "content": completion.content});
        if !completion.reasoning.is_empty() {
            message["reasoning_content"] = completion.reasoning.into();
        }
        self.messages.push(message);
    }

    /// Removes everything but the system message.
    pub fn reset(&mut self) {
        self.messages.retain(|message| message["role"] == "system");
        self.last_metrics = None;
    }

    /// Clears the conversation and sets the system message.
    pub fn set_system(&mut self, system: Option<String>) {
        self.last_metrics = None;
        self.messages = system
            .into_iter()
            .map(|text| json!({"role": "system", "content": text}))
            .collect();
    }

    /// Saves the conversation: JSON for a `.json` file, otherwise Markdown.
    pub fn save(&self, file: &str, model: &str) -> io::Result<()> {
        let is_json = Path::new(file)
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let text = if is_json {
            serde_json::to_string_pretty(&json!({"model": model, "messages": self.messages}))?
                + "\n"
        } else {
            self.markdown(model)
        };
        fs::write(file, text)
    }

    fn markdown(&self, model: &str) -> String {
        let mut text = format!("# Conversation with {model}\n");
        for message in &self.messages {
            let field = |name: &str| {
                message
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let _ = write!(text, "\n## {}\n\n{}\n", field("role"), field("content"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlxm_engine::FinishReason;

    use crate::generate::Finish;

    fn completion(content: &str, reasoning: &str) -> Completion {
        Completion {
            reasoning: reasoning.to_owned(),
            content: content.to_owned(),
            finish: Finish::Engine(FinishReason::Cancelled),
            metrics: None,
        }
    }

    #[test]
    fn reset_keeps_the_system_prompt() {
        let mut transcript = Transcript::new(Some("be brief".to_owned()));
        transcript.push_user("hello".to_owned());
        transcript.push_assistant(completion("hi", "greet back"));
        assert_eq!(transcript.messages().len(), 3);
        assert_eq!(
            transcript.messages()[2],
            json!({"role": "assistant", "content": "hi", "reasoning_content": "greet back"})
        );
        transcript.reset();
        assert_eq!(
            transcript.messages(),
            [json!({"role": "system", "content": "be brief"})]
        );
    }

    #[test]
    fn empty_responses_remove_the_user_message() {
        let mut transcript = Transcript::new(None);
        transcript.push_user("hello".to_owned());
        transcript.push_assistant(completion("", ""));
        assert!(transcript.messages().is_empty());
    }

    #[test]
    fn save_writes_json_and_markdown() {
        let folder = tempfile::tempdir().unwrap();
        let mut transcript = Transcript::new(None);
        transcript.push_user("a \"question\"\nwith lines".to_owned());
        transcript.push_assistant(completion("an answer", ""));
        let file = folder.path().join("chat.json");
        transcript.save(file.to_str().unwrap(), "model").unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(
            read["messages"],
            Value::from(transcript.messages().to_vec())
        );
        let file = folder.path().join("chat.md");
        transcript.save(file.to_str().unwrap(), "model").unwrap();
        let text = fs::read_to_string(file).unwrap();
        assert!(
            text.contains("## user\n\na \"question\"\nwith lines\n"),
            "{text}"
        );
    }
}
