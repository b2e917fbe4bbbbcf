//! `POST /v1/messages` and `/v1/messages/count_tokens`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use mlxm_engine::{FinishReason, StopCause};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::blocks::{Block, Blocks};
use super::{conversation, stream, tools};
use crate::error::ApiError;
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::{FieldPolicy, Warnings};
use crate::generate::{ChatRequest, Finish, GenerationParams, ResponseFormat, ToolChoice, start};
use crate::layers::RequestContext;
use crate::numbers;
use crate::openai::options;
use crate::openai::shared::{at_least_one_token, stop_strings};
use crate::openai::tools::{ANTHROPIC_FIELDS, validate_at};
use crate::openapi::requests::{self, schema_of};
use crate::state::{AppState, ServedModel};
use crate::worker::Profile;

const FIELD_POLICY: FieldPolicy = FieldPolicy {
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
    hints: &[
        ("mcp_servers", "MCP servers are not available"),
        ("container", "code execution is not available"),
    ],
    unsupported: &[],
};

/// The fields of the request body.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct MessageFields {
    /// The served model, if omitted.
    model: Option<String>,
    #[schemars(schema_with = "requests::anthropic_messages")]
    messages: Vec<Value>,
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::limit")]
    max_tokens: Option<usize>,
    #[schemars(schema_with = "requests::system")]
    system: Option<Value>,
    stop_sequences: Option<Vec<String>>,
    stream: Option<bool>,
    #[schemars(range(min = 0))]
    temperature: Option<f32>,
    #[schemars(range(min = 0, max = 1))]
    top_p: Option<f32>,
    #[serde(default, deserialize_with = "numbers::limit")]
    top_k: Option<usize>,
    thinking: Option<Thinking>,
    #[schemars(schema_with = "requests::anthropic_tools")]
    tools: Option<Vec<Value>>,
    #[schemars(schema_with = "requests::anthropic_tool_choice")]
    tool_choice: Option<Value>,
    #[schemars(schema_with = "requests::output_format")]
    output_format: Option<Map<String, Value>>,
    output_config: Option<OutputConfig>,
    /// Edits of the conversation that save tokens; they are not applied.
    context_management: Option<ContextManagement>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled {
        #[schemars(range(min = 1))]
        #[serde(default, deserialize_with = "numbers::whole")]
        budget_tokens: Option<usize>,
    },
    Disabled {},
    Adaptive {},
}

/// Which parts of the conversation the model need not read.
#[derive(Debug, Deserialize, JsonSchema)]
struct ContextManagement {
    edits: Option<Vec<Value>>,
}

impl ContextManagement {
    /// Whether it asks for edits. `keep: "all"` keeps everything.
    fn has_edits(&self) -> bool {
        let edits = self.edits.as_deref().unwrap_or_default();
        edits.iter().any(|edit| edit["keep"] != "all")
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OutputConfig {
    #[schemars(schema_with = "requests::output_format")]
    format: Option<Map<String, Value>>,
    effort: Option<String>,
}

/// The schema of the request body.
pub fn body() -> Value {
    let mut body = count_body();
    body["required"] = json!(["messages", "max_tokens"]);
    body
}

/// The schema of the request body of `count_tokens`.
pub fn count_body() -> Value {
    requests::body(&[schema_of::<MessageFields>()], &FIELD_POLICY)
}

impl RequestBody for MessageFields {
    const POLICY: FieldPolicy = FIELD_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.take()
    }
}

/// Creates a message.
pub async fn create(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body {
        request,
        mut warnings,
    }: Body<MessageFields>,
) -> Result<Response, ApiError> {
    let response = complete(&server, request, &context, &mut warnings).await?;
    Ok(warnings.attach(response))
}

/// Counts the prompt tokens of a request.
pub async fn count_tokens(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body {
        request,
        mut warnings,
    }: Body<MessageFields>,
) -> Result<Response, ApiError> {
    let counted = tokio::task::spawn_blocking(move || {
        let model = server.model_named(request.model.as_deref())?;
        let request = chat(model, &context.profile, request, &mut warnings)?;
        Ok::<_, ApiError>((model.chat.prompt(&request)?.tokens.len(), warnings))
    });
    let (count, warnings) = counted
        .await
        .map_err(|_| ApiError::internal("the tokens could not be counted"))??;
    Ok(warnings.attach(Json(json!({"input_tokens": count})).into_response()))
}

async fn complete(
    server: &AppState,
    fields: MessageFields,
    context: &RequestContext,
    warnings: &mut Warnings,
) -> Result<Response, ApiError> {
    let model = server.model_named(fields.model.as_deref())?;
    if fields.max_tokens.is_none() {
        return Err(ApiError::missing("max_tokens"));
    }
    let streams = fields.stream.unwrap_or_default();
    let name = server.response_model(fields.model.clone());
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let chat = chat(model, &context.profile, fields, warnings)?;
    let started = start(chat, server, context, warnings).await;
    let started = started.map_err(rename_fields)?;
    if streams {
        let usage = token_usage(started.prompt_tokens, 0, 0);
        let start = Message::new(&id, &name, Vec::new(), None, usage);
        return Ok(stream::response(server, json!(start), started.completions));
    }
    let mut completions = started.completions;
    let mut completion = completions
        .pop()
        .ok_or_else(|| ApiError::internal("there is no completion"))?;
    let mut blocks = Blocks::default();
    while let Some(chunk) = completion.next().await {
        let chunk = chunk?;
        blocks.push(chunk.parts);
        if chunk.repeats_reasoning {
            blocks.remove_thinking();
        }
        if let Some(finish) = chunk.finish {
            let usage = usage(&finish);
            let message = Message::new(&id, &name, blocks.finish(), Some(&finish), usage);
            return Ok(Json(message).into_response());
        }
    }
    Err(ApiError::internal("the completion has no finish reason"))
}

/// Replaces names of chat completion fields in an error.
fn rename_fields(error: ApiError) -> ApiError {
    error
        .renamed("response_format", "output_format")
        .renamed("stop", "stop_sequences")
        .with_path_end(".function.parameters", ".input_schema")
}

/// Converts a request to a chat request, with the settings of `profile` for what it leaves out.
fn chat(
    model: &ServedModel,
    profile: &Profile,
    fields: MessageFields,
    warnings: &mut Warnings,
) -> Result<ChatRequest, ApiError> {
    if fields
        .context_management
        .is_some_and(|management| management.has_edits())
    {
        warnings.ignored("context_management", "the model reads all messages");
    }
    let choice = fields.tool_choice.as_ref();
    let tools = tools::tools(&fields.tools.unwrap_or_default(), choice, warnings)?;
    validate_at(&tools, &ANTHROPIC_FIELDS)?;
    let (choice, parallel_tool_calls) = tools::tool_choice(choice)?;
    let mut template_kwargs = Map::new();
    let has_thinking_switch = model.chat.template_mentions("enable_thinking");
    let mut thinking_budget = None;
    match fields.thinking {
        Some(Thinking::Enabled { .. }) if !model.chat.supports_reasoning() => {
            warnings.ignored("thinking", "this is not a reasoning model");
        }
        Some(Thinking::Enabled { budget_tokens }) => {
            check_budget(budget_tokens, fields.max_tokens)?;
            thinking_budget = budget_tokens;
            if has_thinking_switch {
                template_kwargs.insert("enable_thinking".to_owned(), true.into());
            }
        }
        Some(Thinking::Disabled {}) if has_thinking_switch => {
            template_kwargs.insert("enable_thinking".to_owned(), false.into());
        }
        _ => {}
    }
    let mut format = fields.output_format;
    if let Some(config) = fields.output_config {
        format = format.or(config.format);
        match config.effort {
            Some(effort) if model.chat.template_mentions("reasoning_effort") => {
                template_kwargs.insert("reasoning_effort".to_owned(), effort.into());
            }
            Some(_) => warnings.ignored(
                "output_config.effort",
                "the model's chat template has no variable for it",
            ),
            None => {}
        }
    }
    let continue_final_message = fields
        .messages
        .last()
        .is_some_and(|message| message["role"] == "assistant");
    let mut request = ChatRequest {
        messages: conversation::messages(fields.system.as_ref(), &fields.messages, warnings)?,
        tool_choice: if tools.is_empty() && choice == ToolChoice::Auto {
            ToolChoice::None
        } else {
            choice
        },
        tools,
        parallel_tool_calls,
        response_format: response_format(format.as_ref(), warnings)?,
        template_kwargs,
        continue_final_message,
        thinking_budget,
        params: GenerationParams {
            temperature: fields.temperature,
            top_p: fields.top_p.map(at_least_one_token),
            top_k: fields.top_k,
            stop: stop_strings(fields.stop_sequences),
            max_tokens: fields.max_tokens,
            ..GenerationParams::default()
        },
    };
    let gives_tool_choice = fields.tool_choice.is_some();
    profile.fill(&mut request, gives_tool_choice, model, warnings);
    Ok(request)
}

/// Validates the thinking budget. Reasoning counts towards `max_tokens`, so some tokens must be left for the content.
fn check_budget(budget: Option<usize>, max_tokens: Option<usize>) -> Result<(), ApiError> {
    let problem = match (budget, max_tokens) {
        (Some(0), _) => "thinking.budget_tokens is 0; it must be at least 1".to_owned(),
        (Some(budget), Some(max_tokens)) if budget >= max_tokens => format!(
            "thinking.budget_tokens is {budget}; it must be less than max_tokens, which is {max_tokens}"
        ),
        _ => return Ok(()),
    };
    Err(ApiError::field("thinking", problem))
}

fn response_format(
    format: Option<&Map<String, Value>>,
    warnings: &mut Warnings,
) -> Result<ResponseFormat, ApiError> {
    let Some(format) = format else {
        return Ok(ResponseFormat::Text);
    };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        let message = "output_format must have the type json_schema and a schema";
        return Err(ApiError::field("output_format", message));
    }
    match format.get("schema").filter(|schema| !schema.is_null()) {
        Some(schema) => Ok(ResponseFormat::JsonSchema(schema.clone())),
        None => options::response_format(Some(format), "output_format", warnings),
    }
}

/// A message. It is not a [`Value`], which would round large numbers of the input of tools.
#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    usage: Value,
}

impl<'a> Message<'a> {
    fn new(
        id: &'a str,
        model: &'a str,
        content: Vec<Block>,
        finish: Option<&'a Finish>,
        usage: Value,
    ) -> Self {
        Self {
            id,
            kind: "message",
            role: "assistant",
            model,
            content,
            stop_reason: finish.map(stop_reason),
            stop_sequence: finish.and_then(|finish| finish.reason.stop_string()),
            usage,
        }
    }
}

/// The stop reason in Anthropic's format.
pub(super) fn stop_reason(finish: &Finish) -> &'static str {
    match &finish.reason {
        FinishReason::ToolCalls => "tool_use",
        FinishReason::Length(_) => "max_tokens",
        FinishReason::Stop(StopCause::StopString(_)) => "stop_sequence",
        FinishReason::Stop(_) | FinishReason::Cancelled => "end_turn",
    }
}

/// The usage in Anthropic's format. `input_tokens` excludes tokens from the prefix cache.
pub(super) fn usage(finish: &Finish) -> Value {
    let metrics = &finish.metrics;
    token_usage(
        metrics.prompt_tokens,
        metrics.cached_tokens,
        metrics.generated_tokens,
    )
}

/// The usage of a prompt, of which `cached` tokens are from the prefix cache, and of `output` tokens.
pub(super) fn token_usage(prompt: usize, cached: usize, output: usize) -> Value {
    json!({
        "input_tokens": prompt - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    })
}
