//! `POST /tokenize`, `/detokenize` and `/apply-template`: what the model reads.

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
    /// Text; `content` and `text` are other names for it.
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

/// Any of these bodies.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what `model` reads")]
struct ModelFields {
    /// The served model, if it is left out.
    model: Option<String>,
}

/// The schema of a request to `/tokenize`; a conversation may have the other fields of a chat, too.
pub fn tokenize_body() -> Value {
    merged(&[schema_of::<ModelFields>(), schema_of::<TokenizeFields>()])
}

/// The schema of a request to `/detokenize`.
pub fn detokenize_body() -> Value {
    merged(&[schema_of::<ModelFields>(), schema_of::<DetokenizeFields>()])
}

/// The schema of a request to `/apply-template`: that of a chat, whose model may be left out.
pub fn template_body() -> Value {
    let mut body = super::chat::body();
    body["required"] = json!(["messages"]);
    body
}

/// A body of these routes may leave the model out.
fn model<'a>(server: &'a AppState, body: &Map<String, Value>) -> Result<&'a ServedModel, ApiError> {
    match body.get("model") {
        None | Some(Value::Null) => server.model(),
        Some(Value::String(name)) => server.model_named(name),
        Some(_) => Err(ApiError::field("model", "model must be a string")),
    }
}

/// Text, or a conversation, to token ids.
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
            _ => return Err(ApiError::field("prompt", "give either prompt or messages")),
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

/// Token ids to text.
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
                "tokens has {id}; the model's token ids go from 0 to {}",
                vocab_size - 1
            );
            return Err(ApiError::field("tokens", message));
        }
        let skip_special = fields.skip_special_tokens.unwrap_or_default();
        Ok(json!({"prompt": model.engine.tokenizer().decode(&fields.tokens, skip_special)}))
    })
    .await
}

/// A conversation as the model reads it.
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

/// Long texts take their time.
async fn blocking(
    server: AppState,
    work: impl FnOnce(&AppState) -> Result<Value, ApiError> + Send + 'static,
) -> Result<Json<Value>, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&server));
    done.await
        .map_err(|_| ApiError::internal("the text could not be processed"))?
        .map(Json)
}
