//! Messages together with the runs that write them, as of one event each.

use std::collections::BTreeMap;
use std::time::Duration;

use mlxm_store::messages::{self, MessageState};
use mlxm_store::{StoreError, Uuid, now_ms, runs};
use tokio::time::timeout;

use super::progress::Progress;
use crate::gateway::GatewayState;
use crate::gateway::chats::OWNER;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::messages::Message;
use crate::wire::runs::{Run, RunSnapshot, RunState, Usage};

/// Longest wait until the result of a run that has ended is stored, so that a client that reads the end can go on.
const STORED_TIMEOUT: Duration = Duration::from_secs(1);

/// The messages of a chat, and the runs that write some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// All messages, oldest first. Those of `runs` have the text up to the `seq` of their run.
    pub messages: Vec<Message>,
    /// The runs in progress.
    pub runs: Vec<Run>,
    /// The id with which `/api/events` continues without a gap.
    pub last_event_id: String,
}

/// The messages of a chat.
///
/// # Errors
/// If there is no such chat, or the database fails.
pub async fn thread(state: &GatewayState, chat: Uuid) -> Result<Thread, ApiProblem> {
    let looked_at_ms = now_ms();
    // In this order: the last events of a run that is not among these are before the position, and those after it may be in the
    // snapshots already, which their numbers tell.
    let cells = state.runs().of_chat(chat);
    let position = state.bus().position();
    let mut live: BTreeMap<Uuid, Progress> = cells
        .iter()
        .map(|cell| (cell.message, cell.progress()))
        .collect();
    let stored = messages::list(state.chats().of(chat), OWNER, chat).await?;
    let mut thread = Thread {
        messages: Vec::with_capacity(stored.len()),
        runs: Vec::new(),
        last_event_id: position.to_string(),
    };
    for message in stored {
        let known = live.remove(&message.id);
        let known = known.filter(|progress| Some(progress.run.id) == message.run_id);
        let (message, run) = match known {
            Some(progress) => (progress.message, Some(progress.run)),
            None => since(state, message, looked_at_ms).await?,
        };
        thread.messages.push(message);
        thread.runs.extend(run);
    }
    Ok(thread)
}

/// A message of which no run was in progress at the first look, with the run that has begun since, also if it has ended.
async fn since(
    state: &GatewayState,
    message: messages::Message,
    looked_at_ms: i64,
) -> Result<(Message, Option<Run>), ApiProblem> {
    let is_written = message.state == MessageState::Running || message.updated_at_ms > looked_at_ms;
    let Some(id) = message.run_id.filter(|_| is_written) else {
        return Ok((message.into(), None));
    };
    if let Some(cell) = state.runs().get(id).await {
        let Progress { run, message } = cell.progress();
        return Ok((message, Some(run)));
    }
    let (run, message) = stored(state, id).await?;
    let run = run_of(&run, &message);
    // One in progress is that of another gateway, whose events are not published here.
    let run = Some(run).filter(|run| run.state == RunState::Finished);
    Ok((message.into(), run))
}

/// A run and its response.
///
/// # Errors
/// If there is no such run, or the database fails.
pub async fn snapshot(state: &GatewayState, id: Uuid) -> Result<RunSnapshot, ApiProblem> {
    let cell = state.runs().get(id).await;
    let last_event_id = state.bus().position().to_string();
    if let Some(cell) = cell {
        let Progress { run, message } = cell.progress();
        if run.state == RunState::Finished {
            // One that takes longer is stored later.
            let _ = timeout(STORED_TIMEOUT, cell.stored()).await;
        }
        return Ok(RunSnapshot {
            run,
            message,
            last_event_id,
        });
    }
    let (run, message) = stored(state, id).await?;
    Ok(RunSnapshot {
        run: run_of(&run, &message),
        message: message.into(),
        last_event_id,
    })
}

/// A run and its message as they are in the database, or in that of temporary chats.
///
/// # Errors
/// If there is no such run, or the database fails.
pub async fn stored(
    state: &GatewayState,
    id: Uuid,
) -> Result<(runs::Run, messages::Message), ApiProblem> {
    for store in state.chats().all() {
        let run = match runs::get(store, OWNER, id).await {
            Err(StoreError::NotFound { .. }) => continue,
            run => run?,
        };
        let message = messages::get(store, OWNER, run.chat_id, run.message_id).await?;
        return Ok((run, message));
    }
    Err(
        ApiProblem::new(Code::RUN_NOT_FOUND, format!("there is no run `{id}`"))
            .with_advice("copies of responses, in a fork or an import, have a receipt and no run"),
    )
}

/// A run as it is stored.
pub fn run_of(run: &runs::Run, message: &messages::Message) -> Run {
    let is_last = message.run_id == Some(run.id);
    Run {
        id: run.id,
        chat: run.chat_id,
        message: run.message_id,
        seq: if is_last { message.seq } else { 0 },
        state: match run.state {
            runs::RunState::Waiting => RunState::Waiting,
            runs::RunState::Running => RunState::Generating,
            _ => RunState::Finished,
        },
        model: run.model.clone(),
        protocol: run.protocol.into(),
        request_id: run.request_id.clone(),
        waiting: None,
        prefill: None,
        usage: message.body.usage.filter(|_| is_last).map(Usage::from),
        started_at_ms: run.started_at_ms,
        finished_at_ms: run.finished_at_ms,
    }
}
