//! Completions that a test plays, event by event, on the server of all models.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The beginning of a message that names a player.
const PREFIX: &str = "play ";

static WAITING: Mutex<BTreeMap<String, VecDeque<Stage>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What the server needs of a player.
struct Stage {
    steps: UnboundedReceiver<Step>,
    /// Where the request goes.
    requests: UnboundedSender<Value>,
}

enum Step {
    Data(Value),
    Cut,
}

/// Plays the completion of the next request whose conversation has [`Player::message`]. Dropping it ends the completion.
pub struct Player {
    name: String,
    steps: UnboundedSender<Step>,
    requests: UnboundedReceiver<Value>,
}

impl Player {
    pub fn new() -> Self {
        Self::named(format!("{}", NEXT.fetch_add(1, Ordering::SeqCst)))
    }

    fn named(name: String) -> Self {
        let (steps, received) = unbounded_channel();
        let (requests, forwarded) = unbounded_channel();
        let stage = Stage {
            steps: received,
            requests,
        };
        let mut waiting = WAITING.lock().unwrap();
        waiting.entry(name.clone()).or_default().push_back(stage);
        Self {
            name,
            steps,
            requests: forwarded,
        }
    }

    /// Another completion of the same conversation.
    pub fn again(&self) -> Self {
        Self::named(self.name.clone())
    }

    /// The text of the user's message.
    pub fn message(&self) -> String {
        format!("{PREFIX}{} please", self.name)
    }

    /// The body of the request, once the server has it.
    pub async fn request(&mut self) -> Value {
        self.requests.recv().await.unwrap()
    }

    pub fn text(&self, text: &str) {
        self.delta(json!({"content": text}));
    }

    pub fn reasoning(&self, text: &str) {
        self.delta(json!({"reasoning_content": text}));
    }

    pub fn delta(&self, delta: Value) {
        self.data(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}));
    }

    pub fn data(&self, data: Value) {
        // Fails if the request was cancelled.
        let _ = self.steps.send(Step::Data(data));
    }

    /// Ends the completion.
    pub fn finish(self, reason: &str, completion_tokens: u64) {
        self.data(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
        self.data(json!({"choices": [], "usage": {
            "prompt_tokens": 20, "completion_tokens": completion_tokens, "prompt_tokens_details": {"cached_tokens": 16},
        }}));
    }

    /// In Anthropic's API: the prompt is computed.
    pub fn start_message(&self) {
        let message = json!({"usage": anthropic_usage()});
        self.data(json!({"type": "message_start", "message": message}));
        let block = json!({"type": "text", "text": ""});
        self.data(json!({"type": "content_block_start", "content_block": block}));
    }

    /// In Anthropic's API: more text.
    pub fn message_text(&self, text: &str) {
        let delta = json!({"type": "text_delta", "text": text});
        self.data(json!({"type": "content_block_delta", "delta": delta}));
    }

    /// In Anthropic's API: ends the message.
    pub fn finish_message(self, reason: &str) {
        let delta = json!({"stop_reason": reason});
        self.data(json!({"type": "message_delta", "delta": delta, "usage": anthropic_usage()}));
    }

    /// Closes the connection in the middle of the completion.
    pub fn cut(self) {
        let _ = self.steps.send(Step::Cut);
    }
}

/// Of a prompt with 20 tokens.
fn anthropic_usage() -> Value {
    json!({"input_tokens": 4, "cache_read_input_tokens": 16, "output_tokens": 2})
}

/// The response to a request that a player waits for, which has `guard` until it ends. Without a player, the guard is returned.
pub fn play<G: Send + 'static>(body: &[u8], guard: G) -> Result<Response, G> {
    let Some(stage) = stage(body) else {
        return Err(guard);
    };
    let steps = stream::unfold((stage.steps, guard), |(mut steps, guard)| async move {
        let item = match steps.recv().await? {
            Step::Data(data) => Ok(Bytes::from(format!("data: {data}\n\n"))),
            Step::Cut => Err(io::Error::other("the server exits")),
        };
        Some((item, (steps, guard)))
    });
    let body = Body::from_stream(steps);
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

fn stage(body: &[u8]) -> Option<Stage> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let text = request["messages"].to_string();
    let (_, name) = text.rsplit_once(PREFIX)?;
    let name = name.split(' ').next()?;
    let stage = WAITING.lock().unwrap().get_mut(name)?.pop_front()?;
    // Most tests do not look at it.
    let _ = stage.requests.send(request);
    Some(stage)
}
