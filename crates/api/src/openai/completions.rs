//! `POST /v1/completions`: completes text or token ids, without a chat template.

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, stream};
use mlxm_chat::parsing::Part;
use mlxm_engine::Request;
use mlxm_engine::sampling::TokenLogprob;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::logprobs::CompletionLogprobs;
use super::options;
use super::shared::{SamplingFields, StreamFields, Usage, finish_reason, new_id, now, timings};
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::FieldPolicy;
use crate::generate::{ChatChunk, Completion, Finish, GenerationParams, collect_all, merge};
use crate::layers::RequestContext;
use crate::numbers;
use crate::openapi::requests::{self, schema_of};
use crate::sse::{self, Message};
use crate::state::{AppState, ServedModel};
use crate::stream_errors;

const FIELD_POLICY: FieldPolicy = FieldPolicy {
    ignored: &["user", "metadata", "store", "prompt_cache_key"],
    hints: &[],
    unsupported: &[("suffix", "fill-in-the-middle is not available")],
};

/// As in OpenAI's API.
const DEFAULT_MAX_TOKENS: usize = 16;
/// Most alternatives that get a log-probability.
const MAX_LOGPROBS: usize = 20;
/// Most prompts of one request.
const MAX_PROMPTS: usize = 128;

#[derive(Debug, Deserialize, JsonSchema)]
struct CompletionFields {
    #[schemars(with = "Prompts")]
    prompt: Option<Prompts>,
    /// 0 with `echo` returns the prompt alone.
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::limit")]
    max_tokens: Option<usize>,
    /// 1, or the same as `n`.
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::whole")]
    best_of: Option<usize>,
    #[schemars(range(max = 20))]
    #[serde(default, deserialize_with = "numbers::whole")]
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

/// The tokens of a prompt.
struct Prompt {
    tokens: Vec<u32>,
    /// Tokens at the start that the tokenizer added to a text. They are not part of an echo.
    added: usize,
}

impl Prompt {
    fn encode(text: &str, model: &ServedModel) -> Result<Self, ApiError> {
        let tokenizer = model.engine.tokenizer();
        let tokens = tokenizer.encode(text, true)?;
        let added = if tokens
            .first()
            .is_some_and(|first| tokenizer.is_special(*first))
        {
            let written = tokenizer.encode(text, false)?;
            tokens
                .strip_suffix(written.as_slice())
                .map_or(0, <[u32]>::len)
        } else {
            0
        };
        Ok(Self { tokens, added })
    }

    fn written(&self) -> &[u32] {
        self.tokens.split_at(self.added).1
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(tokens: Vec<u32>) -> Self {
        Self { tokens, added: 0 }
    }
}

impl Prompts {
    fn encode(self, model: &ServedModel) -> Result<Vec<Prompt>, ApiError> {
        let encode = |text: &String| Prompt::encode(text, model);
        let prompts: Vec<Prompt> = match self {
            Self::Text(text) => vec![encode(&text)?],
            Self::Texts(texts) => texts.iter().map(encode).collect::<Result<_, _>>()?,
            Self::Tokens(tokens) => vec![tokens.into()],
            Self::TokenLists(lists) => lists.into_iter().map(Prompt::from).collect(),
        };
        if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
            let message = format!(
                "there are {} prompts; there must be 1 to {MAX_PROMPTS}",
                prompts.len()
            );
            return Err(ApiError::field("prompt", message));
        }
        if let Some(index) = prompts.iter().position(|prompt| prompt.tokens.is_empty()) {
            let which = if prompts.len() > 1 {
                format!("prompt[{index}]")
            } else {
                "prompt".to_owned()
            };
            let problem = "is empty, and the tokenizer of this model adds no token at the start: give at least one token";
            return Err(ApiError::at(&which, problem));
        }
        Ok(prompts)
    }
}

/// What a response and its chunks have in common.
struct ChunkTemplate {
    id: String,
    model: String,
    created: u64,
    includes_usage: bool,
    timings: bool,
    echo: bool,
    logprobs: bool,
    /// Whether the completions are not part of the response, but only the prompts.
    echo_only: bool,
    prompts: Vec<Prompt>,
    /// Completions of each prompt.
    completions_per_prompt: usize,
}

/// The schema of the request body.
pub fn body() -> Value {
    let parts = [
        schema_of::<StreamFields>(),
        schema_of::<CompletionFields>(),
        schema_of::<SamplingFields>(),
    ];
    requests::body(&parts, &FIELD_POLICY)
}

/// The body of a request.
pub struct CompletionBody {
    stream: StreamFields,
    fields: CompletionFields,
    sampling: SamplingFields,
}

impl RequestBody for CompletionBody {
    const POLICY: FieldPolicy = FIELD_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            stream: fields.take()?,
            fields: fields.take()?,
            sampling: fields.take()?,
        })
    }
}

/// Creates completions.
pub async fn create(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body {
        request,
        mut warnings,
    }: Body<CompletionBody>,
) -> Result<Response, ApiError> {
    context.profile.warn_of_unknown(&mut warnings);
    let response = complete(&server, request, &context).await?;
    Ok(warnings.attach(response))
}

async fn complete(
    server: &AppState,
    body: CompletionBody,
    context: &RequestContext,
) -> Result<Response, ApiError> {
    let CompletionBody {
        stream,
        fields,
        sampling,
    } = body;
    let model = server.model_named(stream.model.as_deref())?;
    let mut params: GenerationParams = sampling.params()?;
    if fields.logprobs.is_some_and(|count| count > MAX_LOGPROBS) {
        return Err(ApiError::field(
            "logprobs",
            format!("logprobs must be at most {MAX_LOGPROBS}"),
        ));
    }
    options::check_best_of(fields.best_of, params.n)?;
    let prompts = fields.prompt.ok_or_else(|| {
        let message = "prompt is missing: give a string, a list of strings, a list of token ids or a list of such lists";
        ApiError::field("prompt", message)
    })?;
    let echo = fields.echo.unwrap_or_default();
    let echo_only = echo && fields.max_tokens == Some(0);
    let streams = stream.streams();
    if echo && fields.logprobs.is_some() {
        if streams && !echo_only {
            let message =
                "echo with logprobs is not supported in a stream, except with max_tokens 0";
            return Err(ApiError::unsupported("echo", message));
        }
        params.prompt_logprobs = fields.logprobs;
    }
    // The engine generates at least one token, which is left out.
    params.max_tokens = if echo_only {
        Some(1)
    } else {
        fields.max_tokens
    };
    params.logprobs = fields.logprobs;
    context.profile.fill_params(&mut params);
    params.max_tokens.get_or_insert(DEFAULT_MAX_TOKENS);
    let requests = model.chat.requests(&params)?;
    let state = server.clone();
    let prompts = tokio::task::spawn_blocking(move || prompts.encode(state.model()?));
    let prompts = prompts
        .await
        .map_err(|_| ApiError::internal("the prompt could not be tokenized"))??;
    let template = ChunkTemplate {
        id: new_id("cmpl-"),
        created: now(),
        includes_usage: stream.includes_usage(),
        model: server.response_model(stream.model),
        timings: stream.timings.unwrap_or_default(),
        echo,
        logprobs: params.logprobs.is_some(),
        echo_only,
        completions_per_prompt: requests.len(),
        prompts,
    };
    let mut completions = Vec::new();
    for (index, prompt) in template.prompts.iter().enumerate() {
        for request in &requests {
            let request = Request {
                prompt: prompt.tokens.clone(),
                continues_prompt: true,
                ..request.clone()
            };
            let completion = server.submit(model, request, index, context)?;
            completions.push(if echo_only {
                completion.without_output()
            } else {
                completion
            });
        }
    }
    if streams {
        return Ok(stream_response(server.clone(), template, completions));
    }
    let mut response = template.envelope(Vec::new());
    let mut usages = vec![Usage::default(); template.prompts.len()];
    let mut choices = Vec::new();
    for (index, completion) in collect_all(completions).await?.into_iter().enumerate() {
        let Some(finish) = &completion.finish else {
            continue;
        };
        usages[index / template.completions_per_prompt].add_completion(&finish.metrics);
        let text = template.echoed(model, index) + &completion.content;
        let mut choice = choice(index, &text, Some(finish_reason(finish)));
        if template.logprobs {
            let mut lists = template.prompt_logprobs(model, index, finish);
            lists.add(model, &completion.logprobs);
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

/// Usage of all prompts together.
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

    /// The prompt of choice `index` if it is echoed, otherwise nothing.
    fn echoed(&self, model: &ServedModel, index: usize) -> String {
        if !self.echo {
            return String::new();
        }
        let tokenizer = model.engine.tokenizer();
        tokenizer.decode(self.prompt(index).written(), false)
    }

    /// The prompt of choice `index`.
    fn prompt(&self, index: usize) -> &Prompt {
        &self.prompts[index / self.completions_per_prompt]
    }

    /// The log-probabilities of the text that [`echoed`](Self::echoed) returns.
    fn prompt_logprobs(
        &self,
        model: &ServedModel,
        index: usize,
        finish: &Finish,
    ) -> CompletionLogprobs {
        let mut lists = CompletionLogprobs::default();
        if self.echo {
            let prompt = self.prompt(index);
            lists.add_prompt(model, prompt.written(), &finish.prompt_logprobs);
        }
        lists
    }
}

/// The state of a stream.
struct StreamState {
    server: AppState,
    template: ChunkTemplate,
    ready: VecDeque<Message>,
    usages: Vec<Usage>,
    /// For each completion: log-probabilities that are not part of a chunk yet, and the offset of the next text.
    pending: Vec<(Vec<TokenLogprob>, usize)>,
    ended: bool,
}

fn stream_response(
    server: AppState,
    template: ChunkTemplate,
    completions: Vec<Completion>,
) -> Response {
    let limits = server.options().limits.clone();
    let mut ready = VecDeque::new();
    if let Some(model) = server
        .loaded()
        .filter(|_| template.echo && !template.echo_only)
    {
        for index in 0..completions.len() {
            let text = template.echoed(model, index);
            ready.push_back(Message::Data(
                template.envelope(vec![choice(index, &text, None)]),
            ));
        }
    }
    let state = StreamState {
        usages: vec![Usage::default(); template.prompts.len()],
        pending: vec![(Vec::new(), 0); completions.len()],
        ended: false,
        server,
        template,
        ready,
    };
    let state = (state, merge(completions));
    let messages = stream::unfold(state, async |(mut state, mut chunks)| {
        loop {
            if let Some(message) = state.ready.pop_front() {
                return Some((message, (state, chunks)));
            }
            if state.ended {
                return None;
            }
            match chunks.next().await {
                Some((index, Ok(chunk))) => state.take(index, chunk),
                Some((_, Err(error))) => {
                    let body = error.body_in(Protocol::OpenAi);
                    state.ready.extend(stream_errors::completions(body));
                    state.ended = true;
                }
                None => {
                    let usage = state.template.includes_usage.then(|| {
                        let mut envelope = state.template.envelope(Vec::new());
                        envelope["usage"] = json!(total(&state.usages));
                        envelope
                    });
                    state.end(usage);
                }
            }
        }
    });
    sse::response(&limits, messages)
}

impl StreamState {
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
        let mut text: String = texts.collect();
        self.pending[index].0.extend(chunk.logprob);
        if let Some(finish) = &chunk.finish {
            finish.drop_tokens_past_text(&mut self.pending[index].0);
        }
        if text.is_empty() && chunk.finish.is_none() {
            return;
        }
        let mut prompt_logprobs = None;
        if let (Some(finish), Some(model)) = (&chunk.finish, self.server.loaded())
            && self.template.echo_only
        {
            text = self.template.echoed(model, index);
            prompt_logprobs = self
                .template
                .logprobs
                .then(|| self.template.prompt_logprobs(model, index, finish));
        }
        let reason = chunk.finish.as_ref().map(finish_reason);
        let mut choice = choice(index, &text, reason);
        if let Some(lists) = prompt_logprobs {
            choice["logprobs"] = json!(lists);
        }
        let (logprobs, offset) = &mut self.pending[index];
        let held_back = logprobs.split_off(logprobs.len().saturating_sub(chunk.held_back));
        if let Some(model) = self.server.loaded().filter(|_| !logprobs.is_empty()) {
            let mut lists = CompletionLogprobs::from(*offset);
            lists.add(model, logprobs);
            choice["logprobs"] = json!(lists);
        }
        *logprobs = held_back;
        *offset += text.chars().count();
        if let Some(finish) = &chunk.finish {
            self.usages[index / self.template.completions_per_prompt]
                .add_completion(&finish.metrics);
            if self.template.timings {
                choice["timings"] = timings(&finish.metrics);
            }
        }
        self.ready
            .push_back(Message::Data(self.template.envelope(vec![choice])));
    }
}
