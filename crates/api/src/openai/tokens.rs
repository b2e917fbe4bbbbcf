//! `POST /tokenize`, `/detokenize` and `/apply-template`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::{FIELD_POLICY, PromptFields};
use crate::error::ApiError;
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::{FieldPolicy, Warnings};
use crate::layers::RequestContext;
use crate::openapi::requests::{self, merged, schema_of};
use crate::state::{AppState, ServedModel};

#[derive(Debug, Deserialize, JsonSchema)]
struct TokenizeFields {
    /// Text to tokenize; `content` and `text` are aliases.
    #[serde(alias = "content", alias = "text")]
    prompt: Option<String>,
    add_special_tokens: Option<bool>,
    return_token_strs: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct DetokenizeFields {
    tokens: Vec<u32>,
    skip_special_tokens: Option<bool>,
}

/// The model of any of these bodies.
#[derive(Debug, Deserialize, JsonSchema)]
struct ModelFields {
    /// The served model, if omitted.
    model: Option<String>,
}

/// `messages` of a body that may have a prompt instead.
#[derive(JsonSchema)]
struct MessagesField {
    #[schemars(schema_with = "requests::optional_messages")]
    #[expect(dead_code, reason = "only its schema is used")]
    messages: Option<Value>,
}

/// Fields of chat completions that do not change a prompt.
const PROMPT_POLICY: FieldPolicy = FieldPolicy {
    ignored: &[
        "stream",
        "stream_options",
        "timings",
        "user",
        "metadata",
        "store",
    ],
    hints: FIELD_POLICY.hints,
    unsupported: FIELD_POLICY.unsupported,
};

/// The schema of a request to `/tokenize`; a conversation may have the other fields of a chat, too.
pub fn tokenize_body() -> Value {
    merged(&[
        schema_of::<ModelFields>(),
        schema_of::<TokenizeFields>(),
        schema_of::<MessagesField>(),
    ])
}

/// The schema of `/detokenize`.
pub fn detokenize_body() -> Value {
    merged(&[schema_of::<ModelFields>(), schema_of::<DetokenizeFields>()])
}

/// The schema of `/apply-template`: that of a chat completion with an optional model.
pub fn template_body() -> Value {
    let mut body = super::chat::body();
    body["required"] = json!(["messages"]);
    body
}

impl ModelFields {
    fn resolve<'a>(&self, server: &'a AppState) -> Result<&'a ServedModel, ApiError> {
        server.model_named(self.model.as_deref())
    }
}

/// The body of `/tokenize`.
pub struct TokenizeBody {
    model: ModelFields,
    options: TokenizeFields,
    messages: Option<PromptFields>,
}

impl RequestBody for TokenizeBody {
    const POLICY: FieldPolicy = PROMPT_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            model: fields.take()?,
            options: fields.take()?,
            messages: if fields.has("messages") {
                Some(PromptFields::read(fields)?)
            } else {
                None
            },
        })
    }
}

/// Tokenizes a text or a rendered conversation.
pub async fn tokenize(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body { request, warnings }: Body<TokenizeBody>,
) -> Result<Response, ApiError> {
    blocking(server, warnings, move |server, warnings| {
        let model = request.model.resolve(server)?;
        let options = request.options;
        let tokens = match (options.prompt, request.messages) {
            (Some(text), None) => model
                .engine
                .tokenizer()
                .encode(&text, options.add_special_tokens.unwrap_or(true))?,
            (None, Some(prompt)) => {
                model
                    .chat
                    .prompt(&prompt.parse(model, &context.profile, warnings)?.request)?
                    .tokens
            }
            _ => return Err(ApiError::field("prompt", "give either prompt or messages")),
        };
        let mut response = json!({
            "count": tokens.len(),
            "max_model_len": model.engine.memory_plan().context_length,
            "tokens": tokens,
        });
        if options.return_token_strs.unwrap_or_default() {
            let text = |id: &u32| model.engine.tokenizer().id_to_token(*id);
            response["token_strs"] = json!(tokens.iter().map(text).collect::<Vec<_>>());
        }
        Ok(response)
    })
    .await
}

/// The body of `/detokenize`.
pub struct DetokenizeBody {
    model: ModelFields,
    fields: DetokenizeFields,
}

impl RequestBody for DetokenizeBody {
    const POLICY: FieldPolicy = FieldPolicy::NONE;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            model: fields.take()?,
            fields: fields.take()?,
        })
    }
}

/// Decodes token ids.
pub async fn detokenize(
    State(server): State<AppState>,
    Body { request, warnings }: Body<DetokenizeBody>,
) -> Result<Response, ApiError> {
    blocking(server, warnings, move |server, _| {
        let model = request.model.resolve(server)?;
        let DetokenizeFields {
            tokens,
            skip_special_tokens,
        } = request.fields;
        let vocab_size = model.engine.info().vocab_size;
        if let Some(id) = tokens.iter().find(|id| **id as usize >= vocab_size) {
            let message = format!(
                "tokens contains {id}; the model's token ids are 0 to {}",
                vocab_size - 1
            );
            return Err(ApiError::field("tokens", message));
        }
        let skip_special = skip_special_tokens.unwrap_or_default();
        Ok(json!({"prompt": model.engine.tokenizer().decode(&tokens, skip_special)}))
    })
    .await
}

/// The body of `/apply-template`.
pub struct TemplateBody {
    model: ModelFields,
    prompt: PromptFields,
}

impl RequestBody for TemplateBody {
    const POLICY: FieldPolicy = PROMPT_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            model: fields.take()?,
            prompt: PromptFields::read(fields)?,
        })
    }
}

/// The prompt of a conversation, as text.
pub async fn apply_template(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body { request, warnings }: Body<TemplateBody>,
) -> Result<Response, ApiError> {
    blocking(server, warnings, move |server, warnings| {
        let model = request.model.resolve(server)?;
        let profile = &context.profile;
        let chat = request.prompt.parse(model, profile, warnings)?.request;
        Ok(json!({"prompt": model.chat.prompt(&chat)?.text}))
    })
    .await
}

/// Runs `work` on the blocking pool: long texts take long to tokenize.
async fn blocking(
    server: AppState,
    mut warnings: Warnings,
    work: impl FnOnce(&AppState, &mut Warnings) -> Result<Value, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let done = tokio::task::spawn_blocking(move || {
        let body = work(&server, &mut warnings)?;
        Ok::<_, ApiError>(warnings.attach(Json(body).into_response()))
    });
    done.await
        .map_err(|_| ApiError::internal("the text could not be processed"))?
}
