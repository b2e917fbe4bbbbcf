//! Runs: tasks of the gateway that write responses, whether or not a client is connected.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::Problem;
use super::chats::ChatProtocol;
use super::messages::{Message, Part};
use super::profiles::{LoadSettings, RequestSettings};
use super::union::{uuid, with_fields};

/// How a run differs from what its chat sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// Name of another model or profile, for this run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Another API, for this run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ChatProtocol>,
    /// Settings of the request, which have priority over those of the chat.
    pub settings: RequestSettings,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits, as its `waiting` says.
    Waiting,
    /// The prompt is being computed.
    Prefill,
    /// Text is being generated.
    Generating,
    /// It has ended.
    Finished,
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// The model is being downloaded. `done` and `of` are bytes.
    Download,
    /// The server is loading the model. `done` and `of` are bytes.
    Start,
    /// Other servers use the memory.
    Memory,
    /// The server runs as many requests as it can.
    Queue,
}

/// What a run waits for, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// What it waits for.
    #[serde(rename = "for")]
    pub resource: WaitingFor,
    /// What is done of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// All of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Who has what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// How much of the prompt is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prefill {
    /// Tokens in the KV cache, those of the prefix cache included.
    pub computed: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached: u64,
    /// Tokens of the prompt.
    pub of: u64,
}

/// Tokens and times of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: u64,
    /// Generated tokens. While the run is in progress, pieces of text that have arrived.
    pub completion_tokens: u64,
    /// Of these, pieces of reasoning; null without reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Milliseconds from the start of the run until a server had it: in the queue, and while the model was loaded.
    pub queue_ms: u64,
    /// Milliseconds from then to the first token; null if there was none.
    pub time_to_first_token_ms: Option<u64>,
    /// Milliseconds from the first text of the reasoning to its end; null without reasoning.
    pub reasoning_ms: Option<u64>,
    /// Milliseconds from the start of the run to its end, or to this measurement.
    pub duration_ms: u64,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended the completion.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// A user stopped it.
    Stopped,
    /// The gateway exited.
    Interrupted,
    /// It failed.
    Failed,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// Its chat.
    pub chat: Uuid,
    /// The response that it writes.
    pub message: Uuid,
    /// The number of its last event; 0 before the first.
    pub seq: u64,
    /// What it is doing.
    pub state: RunState,
    /// Name of the model or profile.
    pub model: String,
    /// The API that it uses.
    pub protocol: ChatProtocol,
    /// The `x-request-id` of its request, which is also in the logs and the list of requests.
    pub request_id: String,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// How much of the prompt is computed.
    pub prefill: Option<Prefill>,
    /// Tokens and times so far; exact once the run has ended.
    pub usage: Option<Usage>,
    /// When it began.
    pub started_at_ms: i64,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
}

/// A run that has begun, with the messages that were added for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunStarted {
    /// The run.
    pub run: Run,
    /// The user's message and the empty response, or the response alone.
    pub messages: Vec<Message>,
    /// The id with which `/api/events` continues without a gap.
    pub last_event_id: String,
}

/// A run and its response as of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSnapshot {
    /// The run.
    pub run: Run,
    /// The response up to its `seq`.
    pub message: Message,
    /// The id with which `/api/events` continues without a gap.
    pub last_event_id: String,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// The run.
    pub run: Uuid,
    /// Its number in the run: 1, 2, 3 and so on.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: RunEventKind,
}

impl PartialSchema for RunEvent {
    fn schema() -> RefOr<Schema> {
        let fields = [("run", uuid()), ("seq", u64::schema())];
        with_fields(RunEventKind::schema(), "An event of a run.", &fields)
    }
}

impl ToSchema for RunEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RunEventKind::schemas(schemas);
    }
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEventKind {
    /// It waits.
    Waiting {
        /// What it waits for.
        #[serde(rename = "for")]
        resource: WaitingFor,
        /// What is done of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done: Option<u64>,
        /// All of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
        /// Who has what it waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    },
    /// The prompt is being computed.
    Prefill {
        /// Tokens in the KV cache, those of the prefix cache included.
        computed: u64,
        /// Of these, tokens that were in the prefix cache.
        cached: u64,
        /// Tokens of the prompt.
        of: u64,
    },
    /// More of what the model thinks.
    Reasoning {
        /// The text to append.
        text: String,
    },
    /// More of the response.
    Text {
        /// The text to append.
        text: String,
    },
    /// More of a call of a tool.
    ToolCall {
        /// Which call of the response, from 0.
        index: u32,
        /// Its id.
        id: String,
        /// Name of the tool, in the first event of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Text to append to the arguments.
        arguments: String,
    },
    /// A tool runs once a user agrees.
    Approval {
        /// Id of the call.
        id: String,
    },
    /// A tool has ended.
    ToolResult {
        /// Id of the call.
        id: String,
        /// What it returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Vec<Part>>,
        /// Milliseconds that it took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
    /// Tokens and times so far.
    Usage {
        /// The counts.
        usage: Usage,
    },
    /// It failed. `finished` follows.
    Error {
        /// Why, and what to do next.
        problem: Box<Problem>,
    },
    /// It has ended. There are no more events.
    Finished {
        /// Why.
        reason: FinishReason,
    },
}

/// What is needed to compute a response again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Name of the model or profile in the request.
    pub model: String,
    /// The profile; null if the request named a model.
    pub profile: Option<String>,
    /// The model's repository or path.
    pub repository: String,
    /// The commit of the model's files; null if they are not from a hub.
    pub revision: Option<String>,
    /// Version of the program that computed it.
    pub engine_version: String,
    /// The API.
    pub protocol: ChatProtocol,
    /// The server's settings, with the context length and the size of the KV cache that it got.
    pub load: LoadSettings,
    /// The settings of the request, those of the profile included.
    pub request: RequestSettings,
    /// The system prompt, if there was one.
    pub system_prompt: Option<String>,
    /// The seed of sampling.
    pub seed: i64,
    /// Characters at the beginning of the response that were given, because a run continued it: 0 otherwise.
    pub continued_at: u64,
}

/// The result of computing a response again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reproduction {
    /// Whether every character is the same.
    pub is_identical: bool,
    /// The first difference; null if there is none.
    pub difference: Option<Difference>,
    /// What has changed since, such as the version of the engine: reasons why the responses may differ.
    pub changes: Vec<ReceiptChange>,
    /// Tokens and times of the second response.
    pub usage: Option<Usage>,
}

/// Where two responses differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// `reasoning`, `text`, `tool_calls` or `finish_reason`.
    pub field: String,
    /// Characters (Unicode code points) that are equal before it.
    pub position: u64,
    /// The stored response from there, at most 80 characters.
    pub stored: String,
    /// The new response from there, at most 80 characters.
    pub reproduced: String,
}

/// A value of a receipt that is different now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptChange {
    /// The field, such as `engine_version`.
    pub field: String,
    /// Its value in the receipt.
    pub stored: String,
    /// Its value now.
    pub current: String,
}
