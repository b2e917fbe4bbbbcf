//! `POST /tokenize`, `/detokenize` and `/apply-template`.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chat::chat;
use crate::error::ApiError;
use crate::extract::{Body, read};
use crate::openapi::requests::{self, merged, schema_of};
use crate::state::{AppState, ServedModel};

#[derive(Debug, Deserialize, JsonSchema)]
struct TokenizeFields {
    /// Text to tokenize; `content` and `text` are aliases.
    #[serde(alias = "content", alias = "text")]
    prompt: Option<String>,
    #[schemars(schema_with = "requests::optional_messages")]
    messages: Option<Value>,
    add_special_tokens: Option<bool>,
    return_token_strs: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct DetokenizeFields {
    tokens: Vec<u32>,
    skip_special_tokens: Option<bool>,
}

/// A field of all these requests.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what `model` reads")]
struct ModelFields {
    /// Optional.
    model: Option<String>,
}

/// The schema of `/tokenize`; with `messages`, the other fields of a chat completion are accepted, too.
pub fn tokenize_body() -> Value {
    merged(&[schema_of::<ModelFields>(), schema_of::<TokenizeFields>()])
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

/// The model, which these requests may omit.
fn model<'a>(server: &'a AppState, body: &Map<String, Value>) -> Result<&'a ServedModel, ApiError> {
    match body.get("model") {
        None | Some(Value::Null) => server.model(),
        Some(Value::String(name)) => server.model_named(name),
        Some(_) => Err(ApiError::field("model", "model must be a string")),
    }
}

/// Tokenizes a text or a rendered conversation.
pub async fn tokenize(
    State(server): State<AppState>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let body = body?;
    blocking(server, move |server| {
        let model = model(server, &body)?;
        let fields: TokenizeFields = read(&body)?;
        let tokens = match (fields.prompt, fields.messages) {
            (Some(text), None) => model
                .engine
                .tokenizer()
                .encode(&text, fields.add_special_tokens.unwrap_or(true))?,
            (None, Some(_)) => model.chat.prompt(&chat(model, &body)?)?.tokens,
            _ => {
                return Err(ApiError::field(
                    "prompt",
                    "there must be either prompt or messages",
                ));
            }
        };
        let mut response = json!({
            "count": tokens.len(),
            "max_model_len": model.engine.memory_plan().context_length,
            "tokens": tokens,
        });
        if fields.return_token_strs.unwrap_or_default() {
            let text = |id: &u32| model.engine.tokenizer().id_to_token(*id);
            response["token_strs"] = json!(tokens.iter().map(text).collect::<Vec<_>>());
        }
        Ok(response)
    })
    .await
}

/// Decodes token ids.
pub async fn detokenize(
    State(server): State<AppState>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let body = body?;
    blocking(server, move |server| {
        let model = model(server, &body)?;
        let fields: DetokenizeFields = read(&body)?;
        let vocab_size = model.engine.info().vocab_size;
        if let Some(id) = fields.tokens.iter().find(|id| **id as usize >= vocab_size) {
            let message = format!(
                "tokens contains {id}; token ids must be between 0 and {}",
                vocab_size - 1
            );
            return Err(ApiError::field("tokens", message));
        }
        let skip_special = fields.skip_special_tokens.unwrap_or_default();
        Ok(json!({"prompt": model.engine.tokenizer().decode(&fields.tokens, skip_special)}))
    })
    .await
}

/// Renders a conversation with the chat template.
pub async fn apply_template(
    State(server): State<AppState>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let body = body?;
    blocking(server, move |server| {
        let model = model(server, &body)?;
        Ok(json!({"prompt": model.chat.prompt(&chat(model, &body)?)?.text}))
    })
    .await
}

/// Runs `work` on the blocking pool: long texts take time.
async fn blocking(
    server: AppState,
    work: impl FnOnce(&AppState) -> Result<Value, ApiError> + Send + 'static,
) -> Result<Json<Value>, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&server));
    done.await
        .map_err(|_| ApiError::internal("the text could not be processed"))?
        .map(Json)
}
