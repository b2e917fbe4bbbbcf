//! `POST /v1/chat/completions`.

use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shared::{
    SamplingFields, StreamFields, Usage, finish_reason, new_id, now, shared_fields, timings,
};
use super::{logprobs, messages, options, stream, tools};
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, read};
use crate::fields::FieldPolicy;
use crate::generate::{
    ChatCompletion, ChatRequest, ResponseFormat, ToolChoice, collect_all, start,
};
use crate::layers::RequestStart;
use crate::openapi::requests::{self, schema_of};
use crate::state::{AppState, ServedModel};
use mlxm_chat::ToolCall;

const FIELD_POLICY: FieldPolicy = FieldPolicy {
    read: shared_fields![
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "logprobs",
        "top_logprobs",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "chat_template_kwargs",
        "continue_final_message",
        "modalities",
        "verbosity",
    ],
    ignored: &[
        "user",
        "metadata",
        "store",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
    ],
    unsupported: &[
        ("audio", "this model does not speak"),
        ("moderation", "this server does not judge what is written"),
        ("prediction", "there is no predicted output"),
        ("web_search_options", "this server does not search the web"),
        ("functions", "use `tools`"),
        ("function_call", "use `tool_choice`"),
        ("best_of", "use `n`"),
    ],
};

/// The fields that only chats have.
#[derive(Debug, Deserialize, JsonSchema)]
struct ChatFields {
    #[schemars(schema_with = "requests::messages")]
    messages: Vec<Value>,
    #[schemars(schema_with = "requests::tools")]
    tools: Option<Vec<Value>>,
    #[schemars(schema_with = "requests::tool_choice")]
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[schemars(schema_with = "requests::response_format")]
    response_format: Option<Map<String, Value>>,
    logprobs: Option<bool>,
    #[schemars(range(max = 20))]
    top_logprobs: Option<usize>,
    #[schemars(range(min = 1))]
    max_tokens: Option<usize>,
    #[schemars(range(min = 1))]
    max_completion_tokens: Option<usize>,
    reasoning_effort: Option<String>,
    chat_template_kwargs: Option<Map<String, Value>>,
    continue_final_message: Option<bool>,
    #[schemars(extend("items" = {"const": "text"}))]
    modalities: Option<Vec<String>>,
    #[schemars(extend("enum" = ["medium", null]))]
    verbosity: Option<String>,
}

/// The schema of a request.
pub fn body() -> Value {
    let parts = [
        schema_of::<StreamFields>(),
        schema_of::<ChatFields>(),
        schema_of::<SamplingFields>(),
    ];
    requests::body(&parts, &FIELD_POLICY)
}

/// Answers a conversation.
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
    let chat = chat(model, body)?;
    let streams = whole.streams()?;
    let template = stream::ChunkTemplate {
        server: server.clone(),
        id: new_id("chatcmpl-"),
        model: whole.model,
        created: now(),
        includes_usage: whole.stream_options.unwrap_or_default().include_usage,
        timings: whole.timings.unwrap_or_default(),
        logprobs: chat.params.logprobs.is_some(),
    };
    let answers = start(chat, server, received_at).await?.answers;
    if streams {
        return Ok(stream::chat(template, answers));
    }
    let answers = collect_all(answers).await?;
    Ok(Json(completion(model, &template, &answers)).into_response())
}

/// The conversation that a body describes.
///
/// # Errors
/// Names the field that makes no sense or is not supported.
pub(super) fn chat(
    model: &ServedModel,
    body: &Map<String, Value>,
) -> Result<ChatRequest, ApiError> {
    let fields: ChatFields = read(body)?;
    let mut params = read::<SamplingFields>(body)?.params()?;
    params.max_tokens = max_tokens(&fields)?;
    params.logprobs = logprobs_wanted(&fields)?;
    let tools = fields.tools.unwrap_or_default();
    tools::check(&tools)?;
    if fields
        .modalities
        .is_some_and(|modalities| modalities.iter().any(|modality| modality != "text"))
    {
        return Err(ApiError::unsupported(
            "modalities",
            "modalities may only hold \"text\": this model writes text",
        ));
    }
    options::check_verbosity("verbosity", fields.verbosity.as_deref())?;
    let mut template_kwargs = fields.chat_template_kwargs.unwrap_or_default();
    if let Some(effort) = fields.reasoning_effort {
        options::set_effort("reasoning_effort", model, &mut template_kwargs, effort)?;
    }
    Ok(ChatRequest {
        messages: messages::normalize(fields.messages)?,
        tool_choice: match (
            ToolChoice::from_json(fields.tool_choice.as_ref())?,
            tools.is_empty(),
        ) {
            (ToolChoice::Auto, true) => ToolChoice::None,
            (choice, _) => choice,
        },
        tools,
        parallel_tool_calls: fields.parallel_tool_calls.unwrap_or(true),
        response_format: ResponseFormat::from_json(
            fields.response_format.as_ref(),
            "response_format",
        )?,
        template_kwargs,
        continue_final_message: fields.continue_final_message.unwrap_or_default(),
        thinking_budget: None,
        params,
    })
}

fn max_tokens(fields: &ChatFields) -> Result<Option<usize>, ApiError> {
    match (fields.max_tokens, fields.max_completion_tokens) {
        (Some(old), Some(new)) if old != new => {
            let message =
                format!("max_tokens is {old} and max_completion_tokens {new}; give one of them");
            Err(ApiError::field("max_tokens", message))
        }
        (old, new) => Ok(new.or(old)),
    }
}

fn logprobs_wanted(fields: &ChatFields) -> Result<Option<usize>, ApiError> {
    match (fields.logprobs.unwrap_or_default(), fields.top_logprobs) {
        (false, Some(1..)) => Err(ApiError::field(
            "top_logprobs",
            "top_logprobs needs `\"logprobs\": true`",
        )),
        (true, count) => options::top_logprobs(count).map(Some),
        (false, _) => Ok(None),
    }
}

fn completion(
    model: &ServedModel,
    template: &stream::ChunkTemplate,
    answers: &[ChatCompletion],
) -> Value {
    let mut usage = Usage::default();
    let mut choices = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let Some(finish) = &answer.finish else {
            continue;
        };
        usage.add_completion(&finish.metrics);
        let mut choice = json!({
            "index": index,
            "message": message(answer),
            "logprobs": null,
            "finish_reason": finish_reason(finish),
        });
        if template.logprobs {
            let entries: Vec<Value> = answer
                .logprobs
                .iter()
                .map(|logprob| logprobs::chat_logprob(model, logprob))
                .collect();
            choice["logprobs"] = json!({"content": entries, "refusal": null});
        }
        if template.timings {
            choice["timings"] = timings(&finish.metrics);
        }
        choices.push(choice);
    }
    json!({
        "id": template.id,
        "object": "chat.completion",
        "created": template.created,
        "model": template.model,
        "choices": choices,
        "usage": usage,
        "system_fingerprint": stream::FINGERPRINT,
    })
}

fn message(answer: &ChatCompletion) -> Value {
    let content = if answer.content.is_empty() && !answer.tool_calls.is_empty() {
        Value::Null
    } else {
        answer.content.clone().into()
    };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !answer.reasoning.is_empty() {
        message["reasoning_content"] = answer.reasoning.clone().into();
    }
    if !answer.tool_calls.is_empty() {
        let calls = answer
            .tool_calls
            .iter()
            .map(|ToolCall { name, arguments }| {
                json!({
                    "id": new_id("call_"),
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                })
            });
        message["tool_calls"] = calls.collect();
    }
    message
}
