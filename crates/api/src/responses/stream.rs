//! A response as a stream of events, in the order of OpenAI's API.

use std::collections::VecDeque;

use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};

use super::create::ResponseBuilder;
use crate::error::{ApiError, Protocol};
use crate::sse::{self, Message};
use crate::stream_errors;

/// The state of a stream.
struct State {
    builder: ResponseBuilder,
    ready: VecDeque<Message>,
    sequence_number: u64,
    ended: bool,
}

/// Streams the response of `builder`.
pub fn response(builder: ResponseBuilder) -> Response {
    let limits = builder.server.options().limits.clone();
    let mut state = State {
        builder,
        ready: VecDeque::new(),
        sequence_number: 0,
        ended: false,
    };
    for name in ["response.created", "response.in_progress"] {
        let response = state.builder.envelope.in_progress();
        state.send(name, json!({"response": response}));
    }
    let messages = stream::unfold(state, async |mut state| {
        state.next().await.map(|message| (message, state))
    });
    sse::response(&limits, messages)
}

impl State {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            let step = self.builder.step().await;
            for (name, data) in self.builder.output.take_events() {
                self.send(name, data);
            }
            match step {
                Ok(None) => {}
                Ok(Some(response)) => {
                    self.ended = true;
                    let name = if response["status"] == "completed" {
                        "response.completed"
                    } else {
                        "response.incomplete"
                    };
                    self.send(name, json!({"response": response}));
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    fn fail(&mut self, error: &ApiError) {
        self.ended = true;
        let body = error.body_in(Protocol::OpenAi);
        self.send("error", stream_errors::response_error(&body));
        let response = self.builder.envelope.failed(&self.builder.output, &body);
        self.send("response.failed", json!({"response": response}));
    }

    fn send(&mut self, name: &'static str, data: Value) {
        let event = stream_errors::response_event(name, self.sequence_number, data);
        self.sequence_number += 1;
        self.ready.push_back(event);
    }
}
