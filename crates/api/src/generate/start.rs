//! From a request to running completions.

use mlxm_chat::{ChatRequest, ChatStream};
use mlxm_engine::Request;

use super::Completion;
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::layers::RequestContext;
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
    context: &RequestContext,
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
    let prompt_tokens = prompt.tokens.len();
    let completions = prepared
        .requests
        .into_iter()
        .map(|mut request| {
            request.priority = context.priority(request.priority);
            let passes_prefill = follow_prefill(&mut request, context);
            let completion = server.start(context, (0, prompt_tokens), || {
                Ok(model.chat.submit(prompt, request)?)
            })?;
            Ok(completion.with_prefill(passes_prefill))
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Started {
        prompt_tokens,
        completions,
    })
}

/// Lets the engine report how far the prompt is computed if the owner of the server follows its requests. Returns whether the
/// request itself asked for it.
fn follow_prefill(request: &mut Request, context: &RequestContext) -> bool {
    let is_requested = request.reports_prefill;
    request.reports_prefill |= context.usage.is_some();
    is_requested
}

impl AppState {
    /// Starts a plain completion of the request's prompt number `prompt`: all text is content.
    ///
    /// # Errors
    /// If the engine rejects the request.
    pub(crate) fn submit(
        &self,
        model: &ServedModel,
        mut request: Request,
        prompt: usize,
        context: &RequestContext,
    ) -> Result<Completion, ApiError> {
        request.priority = context.priority(request.priority);
        let passes_prefill = follow_prefill(&mut request, context);
        let completion = self.start(context, (prompt, request.prompt.len()), || {
            Ok(ChatStream::new(model.engine.submit(request)?, None))
        })?;
        Ok(completion.with_prefill(passes_prefill))
    }

    /// Runs `submit` as a request in flight, with a deadline, a timer and a record of its usage. `prompt` is the number of its
    /// prompt and the length of that in tokens.
    fn start(
        &self,
        context: &RequestContext,
        (prompt, prompt_tokens): (usize, usize),
        submit: impl FnOnce() -> Result<ChatStream, ApiError>,
    ) -> Result<Completion, ApiError> {
        let timeout = self.options().limits.request_timeout;
        let in_flight = self.track_request();
        let stream = submit()?;
        let recorder = context.usage.as_ref();
        let usage = recorder.map(|recorder| recorder.completion(prompt, prompt_tokens));
        if let (Some(worker), Some(recorder)) = (self.worker(), recorder) {
            worker.usage.insert(recorder);
        }
        Ok(Completion::new(
            stream,
            context.received_at + timeout,
            timeout.as_secs(),
            self.metrics().timer(context.received_at),
            usage,
            in_flight,
        ))
    }
}
