//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::calls::{CallStyle, Called};
use super::shared::{SamplingFields, StreamFields, Usage, new_id, now, timings};
use super::{calls, logprobs, messages, options, stream};
use crate::error::ApiError;
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::{FieldPolicy, Warnings};
use crate::generate::{ChatCompletion, ChatRequest, collect_all, start};
use crate::layers::RequestContext;
use crate::numbers;
use crate::openapi::requests::{self, schema_of};
use crate::state::{AppState, ServedModel};
use crate::worker::Profile;

pub(super) const FIELD_POLICY: FieldPolicy = FieldPolicy {
    ignored: &[
        "user",
        "metadata",
        "store",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
    ],
    hints: &[
        ("moderation", "moderation is not available"),
        ("prediction", "predicted outputs are not available"),
        ("web_search_options", "web search is not available"),
    ],
    unsupported: &[("audio", "audio output is not available")],
};

/// The fields that only chat completions have.
#[derive(Debug, Deserialize, JsonSchema)]
struct ChatFields {
    #[schemars(schema_with = "requests::messages")]
    messages: Vec<Value>,
    #[schemars(schema_with = "requests::tools")]
    tools: Option<Vec<Value>>,
    #[schemars(schema_with = "requests::tool_choice")]
    tool_choice: Option<Value>,
    /// Deprecated: use `tools`.
    #[schemars(schema_with = "requests::functions")]
    functions: Option<Vec<Value>>,
    /// Deprecated: use `tool_choice`.
    #[schemars(schema_with = "requests::function_call")]
    function_call: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[schemars(schema_with = "requests::response_format")]
    response_format: Option<Map<String, Value>>,
    logprobs: Option<bool>,
    #[schemars(range(max = 20))]
    #[serde(default, deserialize_with = "numbers::whole")]
    top_logprobs: Option<usize>,
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::limit")]
    max_tokens: Option<usize>,
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::limit")]
    max_completion_tokens: Option<usize>,
    /// 1, or the same as `n`.
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::whole")]
    best_of: Option<usize>,
    reasoning_effort: Option<String>,
    chat_template_kwargs: Option<Map<String, Value>>,
    continue_final_message: Option<bool>,
    #[schemars(extend("items" = {"const": "text"}))]
    modalities: Option<Vec<String>>,
    verbosity: Option<String>,
    /// Sends the progress of the prompt in a stream, before the first token.
    return_progress: Option<bool>,
}

/// The schema of the request body.
pub fn body() -> Value {
    let parts = [
        schema_of::<StreamFields>(),
        schema_of::<ChatFields>(),
        schema_of::<SamplingFields>(),
    ];
    requests::body(&parts, &FIELD_POLICY)
}

/// The body of a request.
pub struct ChatBody {
    stream: StreamFields,
    prompt: PromptFields,
}

/// The part of a body that a prompt and its completions depend on.
pub(super) struct PromptFields {
    chat: ChatFields,
    sampling: SamplingFields,
}

/// A chat request, and how its calls are shown.
pub(super) struct ParsedChat {
    pub request: ChatRequest,
    pub calls: CallStyle,
}

impl RequestBody for ChatBody {
    const POLICY: FieldPolicy = FIELD_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            stream: fields.take()?,
            prompt: PromptFields::read(fields)?,
        })
    }
}

/// Creates chat completions.
pub async fn create(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body {
        request,
        mut warnings,
    }: Body<ChatBody>,
) -> Result<Response, ApiError> {
    let ChatBody { stream, prompt } = request;
    let model = server.model_named(stream.model.as_deref())?;
    let streams = stream.streams();
    let ParsedChat {
        request: mut chat,
        calls,
    } = prompt.parse(model, &context.profile, &mut warnings)?;
    // Without a stream, progress could not be sent.
    chat.params.reports_prefill &= streams;
    let template = stream::ChunkTemplate {
        server: server.clone(),
        id: new_id("chatcmpl-"),
        created: now(),
        includes_usage: stream.includes_usage(),
        model: server.response_model(stream.model),
        timings: stream.timings.unwrap_or_default(),
        logprobs: chat.params.logprobs.is_some(),
        calls,
    };
    let completions = start(chat, &server, &context, &mut warnings)
        .await?
        .completions;
    let sent = if streams {
        stream::chat(template, completions)
    } else {
        let completions = collect_all(completions).await?;
        Json(response(model, &template, &completions)).into_response()
    };
    Ok(warnings.attach(sent))
}

impl PromptFields {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            chat: fields.take()?,
            sampling: fields.take()?,
        })
    }

    /// The chat request that the fields describe, with the settings of `profile` for what they leave out.
    ///
    /// # Errors
    /// Names the field that is invalid or not supported.
    pub(super) fn parse(
        self,
        model: &ServedModel,
        profile: &Profile,
        warnings: &mut Warnings,
    ) -> Result<ParsedChat, ApiError> {
        let Self {
            chat: fields,
            sampling,
        } = self;
        let mut params = sampling.params()?;
        options::check_best_of(fields.best_of, params.n)?;
        params.max_tokens = max_tokens(&fields);
        params.logprobs = logprobs(&fields)?;
        params.reports_prefill = fields.return_progress.unwrap_or_default();
        let is_given = fields.tool_choice.is_some() || fields.function_call.is_some();
        let Called {
            choice: tool_choice,
            tools,
            style,
        } = match fields.functions.filter(|functions| !functions.is_empty()) {
            None => {
                let choice = fields
                    .tool_choice
                    .or_else(|| fields.function_call.map(calls::tool_choice));
                Called::tools(&fields.tools.unwrap_or_default(), choice.as_ref(), warnings)?
            }
            Some(_) if fields.tools.as_ref().is_some_and(|tools| !tools.is_empty()) => {
                let problem = "and tools exclude each other: give tools alone";
                return Err(ApiError::at("functions", problem));
            }
            Some(functions) => Called::functions(functions, fields.function_call)?,
        };
        if fields
            .modalities
            .is_some_and(|modalities| modalities.iter().any(|modality| modality != "text"))
        {
            return Err(ApiError::unsupported(
                "modalities",
                "modalities may only contain \"text\": this model has text output only",
            ));
        }
        options::check_verbosity("verbosity", fields.verbosity.as_deref(), warnings);
        let mut template_kwargs = fields.chat_template_kwargs.unwrap_or_default();
        if let Some(effort) = fields.reasoning_effort {
            options::set_reasoning_effort(
                "reasoning_effort",
                model,
                &mut template_kwargs,
                effort,
                warnings,
            );
        }
        let mut request = ChatRequest {
            messages: messages::normalize(fields.messages, warnings)?,
            tool_choice,
            tools,
            parallel_tool_calls: !style.is_function_call
                && fields.parallel_tool_calls.unwrap_or(true),
            response_format: options::response_format(
                fields.response_format.as_ref(),
                "response_format",
                warnings,
            )?,
            template_kwargs,
            continue_final_message: fields.continue_final_message.unwrap_or_default(),
            thinking_budget: None,
            params,
        };
        profile.fill(&mut request, is_given, model, warnings);
        Ok(ParsedChat {
            request,
            calls: style,
        })
    }
}

/// The smaller one of the two limits.
fn max_tokens(fields: &ChatFields) -> Option<usize> {
    let limits = [fields.max_tokens, fields.max_completion_tokens];
    limits.into_iter().flatten().min()
}

fn logprobs(fields: &ChatFields) -> Result<Option<usize>, ApiError> {
    match (fields.logprobs.unwrap_or_default(), fields.top_logprobs) {
        (false, Some(1..)) => Err(ApiError::field(
            "top_logprobs",
            "top_logprobs requires `\"logprobs\": true`",
        )),
        (true, count) => options::top_logprobs(count).map(Some),
        (false, _) => Ok(None),
    }
}

fn response(
    model: &ServedModel,
    template: &stream::ChunkTemplate,
    completions: &[ChatCompletion],
) -> Value {
    let mut usage = Usage::default();
    let mut choices = Vec::new();
    for (index, completion) in completions.iter().enumerate() {
        let Some(finish) = &completion.finish else {
            continue;
        };
        usage.add_completion(&finish.metrics);
        let mut choice = json!({
            "index": index,
            "message": message(completion, &template.calls),
            "logprobs": null,
            "finish_reason": template.calls.finish_reason(finish),
        });
        if template.logprobs {
            let entries: Vec<Value> = completion
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

fn message(completion: &ChatCompletion, calls: &CallStyle) -> Value {
    let content = if completion.content.is_empty() && !completion.tool_calls.is_empty() {
        Value::Null
    } else {
        completion.content.clone().into()
    };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !completion.reasoning.is_empty() {
        message["reasoning_content"] = completion.reasoning.clone().into();
    }
    calls.add_calls(&mut message, &completion.tool_calls);
    message
}
