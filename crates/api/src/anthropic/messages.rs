//! `POST /v1/messages` and `/v1/messages/count_tokens`.

use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use mlxm_engine::{FinishReason, StopCause};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{conversation, stream};
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, read};
use crate::fields::FieldPolicy;
use crate::generate::{
    ChatCompletion, ChatRequest, Finish, GenerationParams, ResponseFormat, ToolChoice, collect_all,
    start,
};
use crate::layers::RequestStart;
use crate::openai::tools;
use crate::openapi::requests::{self, schema_of};
use crate::state::{AppState, ServedModel};
use mlxm_chat::ToolCall;

const FIELD_POLICY: FieldPolicy = FieldPolicy {
    read: &[
        "model",
        "messages",
        "max_tokens",
        "system",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "tools",
        "tool_choice",
        "output_format",
        "output_config",
    ],
    ignored: &[
        "metadata",
        "service_tier",
        "speed",
        "cache_control",
        "inference_geo",
        "diagnostics",
        "user_profile_id",
        "workspace_id",
    ],
    unsupported: &[
        ("mcp_servers", "this server connects to no others"),
        ("container", "this server runs no code"),
        (
            "context_management",
            "send the messages that are to be read",
        ),
    ],
};

/// The fields of a request.
#[derive(Debug, Deserialize, JsonSchema)]
struct MessageFields {
    model: String,
    #[schemars(schema_with = "requests::blocks")]
    messages: Vec<Value>,
    #[schemars(range(min = 1))]
    max_tokens: Option<usize>,
    #[schemars(schema_with = "requests::system")]
    system: Option<Value>,
    stop_sequences: Option<Vec<String>>,
    stream: Option<bool>,
    #[schemars(range(min = 0))]
    temperature: Option<f32>,
    #[schemars(range(min = 0.000001, max = 1))]
    top_p: Option<f32>,
    top_k: Option<usize>,
    thinking: Option<Thinking>,
    #[schemars(schema_with = "requests::anthropic_tools")]
    tools: Option<Vec<Value>>,
    #[schemars(schema_with = "requests::anthropic_tool_choice")]
    tool_choice: Option<Value>,
    #[schemars(schema_with = "requests::output_format")]
    output_format: Option<Map<String, Value>>,
    output_config: Option<OutputConfig>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled {
        #[schemars(range(min = 1))]
        budget_tokens: Option<usize>,
    },
    Disabled {},
    Adaptive {},
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OutputConfig {
    #[schemars(schema_with = "requests::output_format")]
    format: Option<Map<String, Value>>,
    effort: Option<String>,
}

/// The schema of a request.
pub fn body() -> Value {
    let mut body = count_body();
    body["required"] = json!(["model", "messages", "max_tokens"]);
    body
}

/// The schema of a request to count.
pub fn count_body() -> Value {
    requests::body(&[schema_of::<MessageFields>()], &FIELD_POLICY)
}

/// Answers a conversation.
pub async fn create(
    State(server): State<AppState>,
    Extension(received_at): Extension<RequestStart>,
    Body(body): Body,
) -> Response {
    let answer = async |body: Map<String, Value>| answer(&server, &body, received_at.0).await;
    FIELD_POLICY
        .respond(&server, Protocol::Anthropic, body, answer)
        .await
}

/// Counts the tokens that a conversation takes.
pub async fn count_tokens(State(server): State<AppState>, Body(body): Body) -> Response {
    let count = async |body: Map<String, Value>| {
        let fields: MessageFields = read(&body)?;
        let own = server.clone();
        let counted = tokio::task::spawn_blocking(move || {
            let model = own.model_named(&fields.model)?;
            Ok::<_, ApiError>(model.chat.prompt(&chat(model, fields)?)?.tokens.len())
        });
        let count = counted
            .await
            .map_err(|_| ApiError::internal("the tokens could not be counted"))??;
        Ok(Json(json!({"input_tokens": count})).into_response())
    };
    FIELD_POLICY
        .respond(&server, Protocol::Anthropic, body, count)
        .await
}

async fn answer(
    server: &AppState,
    body: &Map<String, Value>,
    received_at: Instant,
) -> Result<Response, ApiError> {
    let fields: MessageFields = read(body)?;
    let model = server.model_named(&fields.model)?;
    if fields.max_tokens.is_none() {
        return Err(ApiError::missing("max_tokens"));
    }
    let streams = fields.stream.unwrap_or_default();
    let name = fields.model.clone();
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let started = start(chat(model, fields)?, server, received_at).await;
    let started = started.map_err(rename_fields)?;
    if streams {
        let start = message(
            &id,
            &name,
            Vec::new(),
            None,
            &json!({"input_tokens": started.prompt_tokens, "output_tokens": 0}),
        );
        return Ok(stream::response(server, start, started.answers));
    }
    let answers = collect_all(started.answers).await?;
    let whole = answers
        .first()
        .ok_or_else(|| ApiError::internal("there is no answer"))?;
    let finish = whole
        .finish
        .as_ref()
        .ok_or_else(|| ApiError::internal("the answer has no end"))?;
    Ok(Json(message(
        &id,
        &name,
        blocks(whole),
        Some(finish),
        &usage(finish),
    ))
    .into_response())
}

/// Messages call some fields by other names.
fn rename_fields(error: ApiError) -> ApiError {
    error
        .renamed("response_format", "output_format")
        .renamed("stop", "stop_sequences")
}

/// The conversation that a request describes.
fn chat(model: &ServedModel, fields: MessageFields) -> Result<ChatRequest, ApiError> {
    let tools = conversation::tools(&fields.tools.unwrap_or_default())?;
    tools::check(&tools)?;
    let (choice, parallel_tool_calls) = conversation::tool_choice(fields.tool_choice.as_ref())?;
    let mut template_kwargs = Map::new();
    let switches = model.chat.template_mentions("enable_thinking");
    let mut thinking_budget = None;
    match fields.thinking {
        Some(Thinking::Enabled { .. }) if !model.chat.supports_reasoning() => {
            let message = "thinking is not supported: this model does not reason before it answers";
            return Err(ApiError::unsupported("thinking", message));
        }
        Some(Thinking::Enabled { budget_tokens }) => {
            check_budget(budget_tokens, fields.max_tokens)?;
            thinking_budget = budget_tokens;
            if switches {
                template_kwargs.insert("enable_thinking".to_owned(), true.into());
            }
        }
        Some(Thinking::Disabled {}) if switches => {
            template_kwargs.insert("enable_thinking".to_owned(), false.into());
        }
        _ => {}
    }
    let mut format = fields.output_format;
    if let Some(config) = fields.output_config {
        format = format.or(config.format);
        if let Some(effort) = config
            .effort
            .filter(|_| model.chat.template_mentions("reasoning_effort"))
        {
            template_kwargs.insert("reasoning_effort".to_owned(), effort.into());
        }
    }
    let continues = fields
        .messages
        .last()
        .is_some_and(|message| message["role"] == "assistant");
    Ok(ChatRequest {
        messages: conversation::messages(fields.system.as_ref(), &fields.messages)?,
        tool_choice: if tools.is_empty() && choice == ToolChoice::Auto {
            ToolChoice::None
        } else {
            choice
        },
        tools,
        parallel_tool_calls,
        response_format: output(format.as_ref())?,
        template_kwargs,
        continue_final_message: continues,
        thinking_budget,
        params: GenerationParams {
            temperature: fields.temperature,
            top_p: fields.top_p,
            top_k: fields.top_k,
            stop: fields.stop_sequences.unwrap_or_default(),
            max_tokens: fields.max_tokens,
            ..GenerationParams::default()
        },
    })
}

/// Reasoning is a part of the answer, so there has to be room for more.
fn check_budget(budget: Option<usize>, max_tokens: Option<usize>) -> Result<(), ApiError> {
    let problem = match (budget, max_tokens) {
        (Some(0), _) => "thinking.budget_tokens is 0; it must be at least 1".to_owned(),
        (Some(budget), Some(most)) if budget >= most => format!(
            "thinking.budget_tokens is {budget}; it must be less than max_tokens, which is {most}"
        ),
        _ => return Ok(()),
    };
    Err(ApiError::field("thinking", problem))
}

fn output(format: Option<&Map<String, Value>>) -> Result<ResponseFormat, ApiError> {
    let Some(format) = format else {
        return Ok(ResponseFormat::Text);
    };
    if let (Some("json_schema"), Some(schema)) = (
        format.get("type").and_then(Value::as_str),
        format.get("schema"),
    ) {
        Ok(ResponseFormat::JsonSchema(schema.clone()))
    } else {
        let message = "output_format must have the type json_schema and a schema";
        Err(ApiError::field("output_format", message))
    }
}

fn message(
    id: &str,
    model: &str,
    content: Vec<Value>,
    finish: Option<&Finish>,
    usage: &Value,
) -> Value {
    json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": finish.map(stop_reason),
        "stop_sequence": finish.and_then(|finish| finish.reason.stop_string()),
        "usage": usage,
    })
}

/// The word for an finish.
pub(super) fn stop_reason(finish: &Finish) -> &'static str {
    match &finish.reason {
        FinishReason::ToolCalls => "tool_use",
        FinishReason::Length(_) => "max_tokens",
        FinishReason::Stop(StopCause::StopString(_)) => "stop_sequence",
        FinishReason::Stop(_) | FinishReason::Cancelled => "end_turn",
    }
}

/// Tokens that an answer took; those that were in the cache are counted apart.
pub(super) fn usage(finish: &Finish) -> Value {
    let metrics = &finish.metrics;
    json!({
        "input_tokens": metrics.prompt_tokens - metrics.cached_tokens,
        "cache_read_input_tokens": metrics.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": metrics.generated_tokens,
    })
}

fn blocks(answer: &ChatCompletion) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !answer.reasoning.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": answer.reasoning, "signature": ""}));
    }
    if !answer.content.is_empty() {
        blocks.push(json!({"type": "text", "text": answer.content}));
    }
    for ToolCall { name, arguments } in &answer.tool_calls {
        // Arguments that a limit has cut are no JSON any more.
        let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        blocks.push(
            json!({"type": "tool_use", "id": stream::new_call_id(), "name": name, "input": input}),
        );
    }
    blocks
}
