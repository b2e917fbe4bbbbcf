//! The streams of the four APIs, as far as a client counts tokens and recognizes the end.

use serde_json::{Value, json};

/// An API with streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Chat,
    Completions,
    Messages,
    Responses,
}

/// Token counts of a complete stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

/// How a stream ended that the server closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    Complete(Tokens),
    /// With the error event of its protocol, whose error this is.
    Failed(String),
    /// With neither, as this says.
    Cut(&'static str),
}

impl Protocol {
    pub const ALL: [Self; 4] = [
        Self::Chat,
        Self::Completions,
        Self::Messages,
        Self::Responses,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// A request for a stream.
    pub fn body(self, model: &str, prompt: &str, max_tokens: u64) -> Value {
        let messages = json!([{"role": "user", "content": prompt}]);
        let mut body = match self {
            Self::Chat | Self::Messages => json!({"messages": messages, "max_tokens": max_tokens}),
            Self::Completions => json!({"prompt": prompt, "max_tokens": max_tokens}),
            Self::Responses => json!({"input": prompt, "max_output_tokens": max_tokens}),
        };
        if matches!(self, Self::Chat | Self::Completions) {
            body["stream_options"] = json!({"include_usage": true});
        }
        body["model"] = model.into();
        body["stream"] = true.into();
        body
    }
}

/// A stream so far.
pub struct Stream {
    protocol: Protocol,
    prompt: Option<u64>,
    completion: Option<u64>,
    error: Option<String>,
    is_complete: bool,
}

impl Stream {
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            prompt: None,
            completion: None,
            error: None,
            is_complete: false,
        }
    }

    /// Reads the data of the next event.
    pub fn push(&mut self, data: &str) -> serde_json::Result<()> {
        if data == "[DONE]" {
            self.is_complete = true;
            return Ok(());
        }
        let event: Value = serde_json::from_str(data)?;
        match self.protocol {
            Protocol::Chat | Protocol::Completions => {
                if event["error"].is_object() {
                    self.error = Some(event["error"].to_string());
                }
                self.count(&event["usage"], "prompt_tokens", "completion_tokens");
            }
            Protocol::Messages => match event["type"].as_str() {
                Some("message_delta") => {
                    let usage = &event["usage"];
                    self.count(usage, "input_tokens", "output_tokens");
                    // The prefix cache is counted separately.
                    let cached = usage["cache_read_input_tokens"].as_u64();
                    self.prompt = self
                        .prompt
                        .map(|prompt| prompt + cached.unwrap_or_default());
                }
                Some("message_stop") => self.is_complete = true,
                Some("error") => self.error = Some(event["error"].to_string()),
                _ => {}
            },
            Protocol::Responses => match event["type"].as_str() {
                Some("response.completed" | "response.incomplete") => {
                    self.count(&event["response"]["usage"], "input_tokens", "output_tokens");
                    self.is_complete = true;
                }
                Some("error") => self.error = Some(event.to_string()),
                _ => {}
            },
        }
        Ok(())
    }

    fn count(&mut self, usage: &Value, prompt: &str, completion: &str) {
        if usage.is_object() {
            self.prompt = usage[prompt].as_u64();
            self.completion = usage[completion].as_u64();
        }
    }

    /// What the end of the body means after these events.
    pub fn end(self) -> StreamEnd {
        match (self.error, self.is_complete, self.prompt, self.completion) {
            (Some(error), ..) => StreamEnd::Failed(error),
            (None, true, Some(prompt), Some(completion)) => {
                StreamEnd::Complete(Tokens { prompt, completion })
            }
            (None, true, ..) => StreamEnd::Cut("the stream has no token counts"),
            (None, false, ..) => StreamEnd::Cut("the stream ended without its last event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(protocol: Protocol, events: &[&str]) -> StreamEnd {
        let mut stream = Stream::new(protocol);
        for event in events {
            stream.push(event).unwrap();
        }
        stream.end()
    }

    #[test]
    fn complete_stream_has_its_token_counts() {
        let chat = [
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
            "[DONE]",
        ];
        let messages = [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":0}}}"#,
            r#"{"type":"message_delta","usage":{"input_tokens":4,"cache_read_input_tokens":5,"output_tokens":3}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        let responses = [
            r#"{"type":"response.created","response":{"usage":null}}"#,
            r#"{"type":"response.incomplete","response":{"usage":{"input_tokens":9,"output_tokens":3}}}"#,
        ];
        let expected = StreamEnd::Complete(Tokens {
            prompt: 9,
            completion: 3,
        });
        assert_eq!(end(Protocol::Chat, &chat), expected);
        assert_eq!(end(Protocol::Messages, &messages[..]), expected);
        assert_eq!(end(Protocol::Responses, &responses[..]), expected);
        assert!(matches!(end(Protocol::Chat, &chat[..2]), StreamEnd::Cut(_)));
        assert!(matches!(end(Protocol::Chat, &chat[2..]), StreamEnd::Cut(_)));
    }

    #[test]
    fn error_event_counts_more_than_the_end() {
        let completions = [r#"{"error":{"message":"it exited"}}"#, "[DONE]"];
        let messages = [r#"{"type":"error","error":{"message":"it exited"}}"#];
        let responses = [
            r#"{"type":"error","code":"worker_failed","message":"it exited"}"#,
            r#"{"type":"response.failed","response":{}}"#,
        ];
        for (protocol, events) in [
            (Protocol::Completions, &completions[..]),
            (Protocol::Messages, &messages[..]),
            (Protocol::Responses, &responses[..]),
        ] {
            match end(protocol, events) {
                StreamEnd::Failed(error) => assert!(error.contains("it exited"), "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
