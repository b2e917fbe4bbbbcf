//! `POST /v1/completions`: text or tokens to be continued, without a chat template.

use std::collections::VecDeque;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, stream};
use mlxm_chat::parsing::Part;
use mlxm_engine::Request;
use mlxm_engine::sampling::TokenLogprob;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::logprobs;
use super::shared::{
    SamplingFields, StreamFields, Usage, finish_reason, new_id, now, shared_fields, timings,
};
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, read};
use crate::fields::FieldPolicy;
use crate::generate::{ChatChunk, Completion, GenerationParams, collect_all, merge};
use crate::layers::RequestStart;
use crate::openapi::requests::{self, schema_of};
use crate::sse::{self, Message};
use crate::state::{AppState, ServedModel};

const FIELD_POLICY: FieldPolicy = FieldPolicy {
    read: shared_fields!["prompt", "max_tokens", "logprobs", "echo"],
    ignored: &["user", "metadata", "store", "prompt_cache_key"],
    unsupported: &[
        ("suffix", "this model does not fill in the middle"),
        ("best_of", "use `n`"),
    ],
};

/// The answer's length where none is asked for, as in the official API.
const DEFAULT_MAX_TOKENS: usize = 16;
/// Other tokens whose log-probability may be asked for.
const MAX_LOGPROBS: usize = 20;
/// Prompts of one request.
const MAX_PROMPTS: usize = 128;

#[derive(Debug, Deserialize, JsonSchema)]
struct CompletionFields {
    prompt: Prompts,
    #[schemars(range(min = 1))]
    max_tokens: Option<usize>,
    #[schemars(range(max = 20))]
    logprobs: Option<usize>,
    echo: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, a list of token ids or a list of such lists"
)]
enum Prompts {
    Text(#[schemars(length(min = 1))] String),
    Texts(#[schemars(length(min = 1), inner(length(min = 1)))] Vec<String>),
    Tokens(#[schemars(length(min = 1))] Vec<u32>),
    TokenLists(#[schemars(length(min = 1), inner(length(min = 1)))] Vec<Vec<u32>>),
}

impl Prompts {
    fn tokens(self, model: &ServedModel) -> Result<Vec<Vec<u32>>, ApiError> {
        let encode = |text: &String| Ok(model.engine.tokenizer().encode(text, true)?);
        let prompts = match self {
            Self::Text(text) => vec![encode(&text)?],
            Self::Texts(texts) => texts.iter().map(encode).collect::<Result<_, ApiError>>()?,
            Self::Tokens(tokens) => vec![tokens],
            Self::TokenLists(lists) => lists,
        };
        if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
            let message = format!(
                "there are {} prompts; give 1 to {MAX_PROMPTS}",
                prompts.len()
            );
            return Err(ApiError::field("prompt", message));
        }
        Ok(prompts)
    }
}

/// What all chunks of a response share.
struct ChunkTemplate {
    id: String,
    model: String,
    created: u64,
    includes_usage: bool,
    timings: bool,
    echo: bool,
    logprobs: bool,
    prompts: Vec<Vec<u32>>,
    /// Answers to each prompt.
    answers: usize,
}

/// The schema of a request.
pub fn body() -> Value {
    let parts = [
        schema_of::<StreamFields>(),
        schema_of::<CompletionFields>(),
        schema_of::<SamplingFields>(),
    ];
    requests::body(&parts, &FIELD_POLICY)
}

/// Continues prompts.
pub async fn create(
    State(server): State<AppState>,
    Extension(received_at): Extension<RequestStart>,
    Body(body): Body,
) -> Response {
    let answer = async |body: Map<String, Value>| answer(&server, &body, received_at.0).await;
    FIELD_POLICY
        .respond(&server, Protocol::OpenAi, body, answer)
        .await
}

async fn answer(
    server: &AppState,
    body: &Map<String, Value>,
    received_at: Instant,
) -> Result<Response, ApiError> {
    let whole: StreamFields = read(body)?;
    let model = server.model_named(&whole.model)?;
    let fields: CompletionFields = read(body)?;
    let mut params: GenerationParams = read::<SamplingFields>(body)?.params()?;
    if fields.logprobs.is_some_and(|count| count > MAX_LOGPROBS) {
        return Err(ApiError::field(
            "logprobs",
            format!("logprobs must be at most {MAX_LOGPROBS}"),
        ));
    }
    let echo = fields.echo.unwrap_or_default();
    let streams = whole.streams()?;
    if echo && fields.logprobs.is_some() {
        if streams {
            let message = "echo with logprobs is not supported in a stream: the prompt's come with the end of the answer";
            return Err(ApiError::unsupported("echo", message));
        }
        params.prompt_logprobs = fields.logprobs;
    }
    params.max_tokens = Some(fields.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS));
    params.logprobs = fields.logprobs;
    let requests = model.chat.requests(&params)?;
    let own = server.clone();
    let prompts = tokio::task::spawn_blocking(move || fields.prompt.tokens(own.model()?));
    let prompts = prompts
        .await
        .map_err(|_| ApiError::internal("the prompt could not be read"))??;
    let template = ChunkTemplate {
        id: new_id("cmpl-"),
        model: whole.model,
        created: now(),
        includes_usage: whole.stream_options.unwrap_or_default().include_usage,
        timings: whole.timings.unwrap_or_default(),
        echo,
        logprobs: params.logprobs.is_some(),
        answers: requests.len(),
        prompts,
    };
    let mut answers = Vec::new();
    for prompt in &template.prompts {
        for request in &requests {
            let request = Request {
                prompt: prompt.clone(),
                ..request.clone()
            };
            answers.push(server.submit(model, request, received_at)?);
        }
    }
    if streams {
        return Ok(streamed(server.clone(), template, answers));
    }
    let mut response = template.envelope(Vec::new());
    let mut usages = vec![Usage::default(); template.prompts.len()];
    let mut choices = Vec::new();
    for (index, answer) in collect_all(answers).await?.into_iter().enumerate() {
        let Some(finish) = &answer.finish else {
            continue;
        };
        usages[index / template.answers].add_completion(&finish.metrics);
        let text = template.echoed(model, index) + &answer.content;
        let mut choice = choice(index, &text, Some(finish_reason(finish)));
        if template.logprobs {
            let mut lists = logprobs::CompletionLogprobs::default();
            if template.echo {
                let first = template.prompts[index / template.answers].first();
                lists.add_first(model, first.copied());
                lists.add(model, &finish.prompt_logprobs);
            }
            lists.add(model, &answer.logprobs);
            choice["logprobs"] = json!(lists);
        }
        if template.timings {
            choice["timings"] = timings(&finish.metrics);
        }
        choices.push(choice);
    }
    response["choices"] = choices.into();
    response["usage"] = json!(total(&usages));
    Ok(Json(response).into_response())
}

/// What all prompts together took.
fn total(usages: &[Usage]) -> Usage {
    let mut total = Usage::default();
    for usage in usages {
        total.add_prompt(usage);
    }
    total
}

fn choice(index: usize, text: &str, finish_reason: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish_reason})
}

impl ChunkTemplate {
    fn envelope(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": super::stream::FINGERPRINT,
            "choices": choices,
        })
    }

    /// The prompt of answer `index`, where it is to be repeated.
    fn echoed(&self, model: &ServedModel, index: usize) -> String {
        if !self.echo {
            return String::new();
        }
        model
            .engine
            .tokenizer()
            .decode(&self.prompts[index / self.answers], true)
    }
}

/// What is known of the answers of a stream.
struct Progress {
    server: AppState,
    template: ChunkTemplate,
    ready: VecDeque<Message>,
    usages: Vec<Usage>,
    /// Log-probabilities that no chunk has carried yet, and where the next text begins, for each answer.
    pending: Vec<(Vec<TokenLogprob>, usize)>,
    ended: bool,
}

fn streamed(server: AppState, template: ChunkTemplate, answers: Vec<Completion>) -> Response {
    let limits = server.options().limits.clone();
    let mut ready = VecDeque::new();
    if let Some(model) = server.loaded().filter(|_| template.echo) {
        for index in 0..answers.len() {
            let text = template.echoed(model, index);
            ready.push_back(Message::Data(
                template.envelope(vec![choice(index, &text, None)]),
            ));
        }
    }
    let progress = Progress {
        usages: vec![Usage::default(); template.prompts.len()],
        pending: vec![(Vec::new(), 0); answers.len()],
        ended: false,
        server,
        template,
        ready,
    };
    let state = (progress, merge(answers));
    let messages = stream::unfold(state, async |(mut progress, mut chunks)| {
        loop {
            if let Some(message) = progress.ready.pop_front() {
                return Some((message, (progress, chunks)));
            }
            if progress.ended {
                return None;
            }
            match chunks.next().await {
                Some((index, Ok(chunk))) => progress.take(index, chunk),
                Some((_, Err(error))) => progress.end(Some(error.body_in(Protocol::OpenAi))),
                None => {
                    let usage = progress.template.includes_usage.then(|| {
                        let mut envelope = progress.template.envelope(Vec::new());
                        envelope["usage"] = json!(total(&progress.usages));
                        envelope
                    });
                    progress.end(usage);
                }
            }
        }
    });
    sse::response(&limits, messages)
}

impl Progress {
    fn end(&mut self, last: Option<Value>) {
        self.ready.extend(last.map(Message::Data));
        self.ready.push_back(Message::Done);
        self.ended = true;
    }

    fn take(&mut self, index: usize, chunk: ChatChunk) {
        let texts = chunk.parts.iter().filter_map(|part| match part {
            Part::Content(text) => Some(text.as_str()),
            _ => None,
        });
        let text: String = texts.collect();
        self.pending[index].0.extend(chunk.logprob);
        if text.is_empty() && chunk.finish.is_none() {
            return;
        }
        let reason = chunk.finish.as_ref().map(finish_reason);
        let mut choice = choice(index, &text, reason);
        let (logprobs, offset) = &mut self.pending[index];
        if let Some(model) = self.server.loaded().filter(|_| !logprobs.is_empty()) {
            let mut lists = logprobs::CompletionLogprobs::from(*offset);
            lists.add(model, logprobs);
            choice["logprobs"] = json!(lists);
            logprobs.clear();
        }
        *offset += text.chars().count();
        if let Some(finish) = &chunk.finish {
            self.usages[index / self.template.answers].add_completion(&finish.metrics);
            if self.template.timings {
                choice["timings"] = timings(&finish.metrics);
            }
        }
        self.ready
            .push_back(Message::Data(self.template.envelope(vec![choice])));
    }
}
