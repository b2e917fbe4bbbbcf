//! From a request to running completions.

use std::time::Instant;

use mlxm_chat::{ChatRequest, ChatStream};
use mlxm_engine::Request;

use super::Completion;
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::state::{AppState, ServedModel};

/// Completions that have started.
pub struct Started {
    pub prompt_tokens: usize,
    pub completions: Vec<Completion>,
}

/// Starts the completions of a chat request. Rendering, tokenizing and compiling grammars run on the blocking pool. What is not
/// enforced is added to `warnings`.
///
/// # Errors
/// If the request is invalid, or the engine rejects it.
pub async fn start(
    request: ChatRequest,
    server: &AppState,
    received_at: Instant,
    warnings: &mut Warnings,
) -> Result<Started, ApiError> {
    let state = server.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        Ok::<_, ApiError>(state.model()?.chat.prepare(&request)?)
    });
    let prepared = prepared
        .await
        .map_err(|_| ApiError::internal("the request could not be prepared"))??;
    for warning in prepared.warnings {
        warnings.add(warning);
    }
    let model = server.model()?;
    let prompt = &prepared.prompt;
    let completions = prepared
        .requests
        .into_iter()
        .map(|request| server.start(received_at, || Ok(model.chat.submit(prompt, request)?)))
        .collect::<Result<_, _>>()?;
    Ok(Started {
        prompt_tokens: prompt.tokens.len(),
        completions,
    })
}

impl AppState {
    /// Starts a plain completion: all text is content.
    ///
    /// # Errors
    /// If the engine rejects the request.
    pub(crate) fn submit(
        &self,
        model: &ServedModel,
        request: Request,
        received_at: Instant,
    ) -> Result<Completion, ApiError> {
        self.start(received_at, || {
            Ok(ChatStream::new(model.engine.submit(request)?, None))
        })
    }

    /// Runs `submit` as a request in flight, with a deadline and a timer.
    fn start(
        &self,
        received_at: Instant,
        submit: impl FnOnce() -> Result<ChatStream, ApiError>,
    ) -> Result<Completion, ApiError> {
        let timeout = self.options().limits.request_timeout;
        let in_flight = self.track_request();
        Ok(Completion::new(
            submit()?,
            received_at + timeout,
            timeout.as_secs(),
            self.metrics().timer(received_at),
            in_flight,
        ))
    }
}
