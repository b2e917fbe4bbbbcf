//! Computes a response again from its receipt, and compares.

use mlxm_store::Uuid;
use mlxm_store::messages::{self, tree};

use super::cell::RunCell;
use super::progress::Progress;
use super::receipt::{changes, difference, text, text_length};
use super::request::{PromptMessage, RunRequest, prompt_of};
use super::{task, thread};
use crate::gateway::GatewayState;
use crate::gateway::chats::OWNER;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::Problem;
use crate::wire::messages::{Message, MessageState, Part};
use crate::wire::profiles::RequestSettings;
use crate::wire::runs::{FinishReason, Receipt, Reproduction, Run};

/// Computes the response of a run again. If the caller leaves, it is given up.
///
/// # Errors
/// If the run has not ended, is not the last of its response or has no receipt, or the response cannot be computed.
pub async fn reproduce(state: &GatewayState, id: Uuid) -> Result<Reproduction, ApiProblem> {
    let (run, stored) = thread::stored(state, id).await?;
    if stored.run_id != Some(id) {
        let detail = format!("a later run has continued the response of the run `{id}`");
        return Err(ApiProblem::new(Code::CONFLICT, detail)
            .with_advice("compute the last run of the response again"));
    }
    let (chat, parent) = (run.chat_id, stored.parent_id);
    let run = thread::run_of(&run, &stored);
    let original = Message::from(stored);
    if original.state == MessageState::Running {
        let detail = format!("the response `{}` is still being written", original.id);
        return Err(ApiProblem::new(Code::MESSAGE_BUSY, detail)
            .with_advice("wait until it is complete, or stop it"));
    }
    let receipt = original.receipt.as_deref().ok_or_else(|| {
        let detail = "the response has no receipt: no server had its request";
        ApiProblem::new(Code::CONFLICT, detail).with_advice("regenerate it")
    })?;
    let beginning: String = text(&original)
        .chars()
        .take(receipt.continued_at as usize)
        .collect();
    let written = written_bytes(&original, &beginning);
    if was_cut_off(&original) && written == 0 {
        let detail = "the run ended before its first text: there is nothing to compare";
        return Err(ApiProblem::new(Code::CONFLICT, detail).with_advice("regenerate the response"));
    }
    let stores = state.chats();
    let all = messages::list(stores.of(chat), OWNER, chat).await?;
    let branch = parent.map_or_else(Vec::new, |parent| tree::branch(&all, parent));
    let mut prompt = prompt_of(stores, &receipt.model, &branch).await?;
    let continues = !beginning.is_empty();
    if continues {
        prompt.push(PromptMessage::beginning(
            beginning.clone(),
            original.reasoning.clone(),
        ));
    }
    let request = RunRequest {
        model: receipt.model.clone(),
        protocol: receipt.protocol,
        settings: settings(receipt),
        messages: prompt,
        continues,
    };
    let cell = RunCell::new(empty(run, &original, beginning), None);
    let end = compute(
        state,
        &cell,
        &request,
        was_cut_off(&original).then_some(written),
    )
    .await;
    let reason = end.map_err(|problem| {
        let advice = problem.advice.unwrap_or_default();
        ApiProblem::new(Code::RESPONSE_FAILED, problem.detail).with_advice(advice)
    })?;
    cell.finish(Ok(reason));
    let Progress { run, message } = cell.progress();
    let difference = difference(&original, &comparable(&original, message.clone()));
    Ok(Reproduction {
        is_identical: difference.is_none(),
        difference,
        changes: message
            .receipt
            .map_or_else(Vec::new, |current| changes(receipt, &current)),
        usage: run.usage,
    })
}

/// Computes a response: up to a length, if it is to end early.
async fn compute(
    state: &GatewayState,
    cell: &RunCell,
    request: &RunRequest,
    bytes: Option<usize>,
) -> Result<FinishReason, Problem> {
    let response = task::respond(state, cell, request);
    match bytes {
        None => response.await,
        Some(bytes) => tokio::select! {
            reason = response => reason,
            // The original has no more.
            () = cell.has_written(bytes) => Ok(FinishReason::Stopped),
        },
    }
}

/// Bytes of text and reasoning that a run has written, after the text that it has continued.
fn written_bytes(message: &Message, beginning: &str) -> usize {
    let reasoning = message.reasoning.as_deref().unwrap_or_default();
    // A run that continues a response does not reason again.
    let reasoning = if beginning.is_empty() {
        reasoning.len()
    } else {
        0
    };
    text(message).len() - beginning.len() + reasoning
}

/// The settings of the receipt.
fn settings(receipt: &Receipt) -> RequestSettings {
    RequestSettings {
        system_prompt: receipt.system_prompt.clone(),
        seed: Some(receipt.seed),
        ..receipt.request.clone()
    }
}

fn was_cut_off(message: &Message) -> bool {
    matches!(
        message.finish_reason,
        None | Some(FinishReason::Stopped | FinishReason::Interrupted | FinishReason::Failed)
    )
}

/// A run before its first event, whose response has what it continues.
fn empty(run: Run, original: &Message, beginning: String) -> Progress {
    let content = if beginning.is_empty() {
        Vec::new()
    } else {
        vec![Part::Text { text: beginning }]
    };
    let run = Run {
        // Its own request, which is not that of the run.
        request_id: format!("run_{}", Uuid::new_v4().simple()),
        ..run
    };
    let message = Message {
        reasoning: original.reasoning.clone().filter(|_| !content.is_empty()),
        content,
        tool_calls: Vec::new(),
        receipt: None,
        ..original.clone()
    };
    Progress::before_first_event(run, message)
}

/// The part of a new response that can be compared: all of it, unless the original was cut off.
fn comparable(original: &Message, new: Message) -> Message {
    if !was_cut_off(original) {
        return new;
    }
    let cut = |text: &str, length: u64| text.chars().take(length as usize).collect::<String>();
    let reasoning_length = original
        .reasoning
        .as_deref()
        .map_or(0, |text| text.chars().count() as u64);
    let same_text = cut(&text(&new), text_length(original));
    Message {
        content: vec![Part::Text { text: same_text }],
        reasoning: new
            .reasoning
            .as_deref()
            .map(|text| cut(text, reasoning_length)),
        // Calls that were cut off are not compared.
        tool_calls: original.tool_calls.clone(),
        finish_reason: original.finish_reason,
        ..new
    }
}
