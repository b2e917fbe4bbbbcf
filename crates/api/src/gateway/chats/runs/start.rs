//! What begins a run: it is stored with its messages, and its task is started.

use std::sync::Arc;

use mlxm_store::Uuid;
use mlxm_store::chats::{self, Chat, ChatProtocol};
use mlxm_store::messages::{self, Role, tree};
use mlxm_store::runs::{self, NewRun, RunTarget, StartedRun};

use super::cell::RunCell;
use super::progress::Progress;
use super::request::{self, RunRequest};
use super::{save, task, thread};
use crate::gateway::GatewayState;
use crate::gateway::chats::tasks::detached;
use crate::gateway::chats::{OWNER, publish, settings, title};
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::proxy::CANCELLED;
use crate::wire::Problem;
use crate::wire::chats::{ChatChange, ChatEvent};
use crate::wire::events::Event;
use crate::wire::messages::Message;
use crate::wire::profiles::RequestSettings;
use crate::wire::runs::{FinishReason, RunOptions, RunStarted};

/// A run to start.
pub struct NewTask {
    /// Its chat.
    pub chat: Chat,
    /// What it writes.
    pub target: RunTarget,
    /// How it differs from what the chat sets.
    pub options: RunOptions,
    /// The same for each attempt of a client to send it.
    pub idempotency_key: Option<String>,
}

/// What a task needs to make its request, in addition to its run.
struct Plan {
    chat: Chat,
    options: RunOptions,
    continues: bool,
}

/// Stores a run and its messages, and starts its task. A second one with the same idempotency key is the first one.
///
/// # Errors
/// If the chat has no model, a message does not exist or is being written, or the database fails.
pub async fn start(state: &GatewayState, new: NewTask) -> Result<RunStarted, ApiProblem> {
    let state = state.clone();
    // A client that disconnects now must not leave a stored run without a task.
    detached(async move { start_now(&state, new).await }).await
}

async fn start_now(state: &GatewayState, new: NewTask) -> Result<RunStarted, ApiProblem> {
    if state.monitor().workers.is_draining() {
        let detail = "the gateway is shutting down";
        return Err(ApiProblem::new(Code::SHUTTING_DOWN, detail)
            .with_advice("send the message again when it has been restarted")
            .retry_after(5));
    }
    let NewTask {
        chat,
        target,
        options,
        idempotency_key,
    } = new;
    let model = options.model.clone().or_else(|| chat.config.model.clone());
    let model = model.ok_or_else(|| {
        let message = "is required: the chat has no model, choose one for it or for this run";
        ApiProblem::field("options.model", "missing", message)
    })?;
    let title = match &target {
        RunTarget::Message { content, .. } => Some(title::of_message(content)),
        _ => None,
    };
    let is_new_message = title.is_some();
    let plan = Plan {
        continues: matches!(target, RunTarget::Continue { .. }),
        chat,
        options,
    };
    let chat = plan.chat.id;
    let position = state.bus().position();
    let reservation = state.runs().reserve(chat);
    let protocol = plan.options.protocol.map(ChatProtocol::from);
    let run = NewRun {
        id: reservation.id(),
        gateway_id: state.id(),
        request_id: format!("run_{}", Uuid::new_v4().simple()),
        model,
        protocol: protocol.unwrap_or(plan.chat.config.protocol),
        target,
        idempotency_key,
    };
    let started = runs::start(state.chats().of(chat), OWNER, chat, run).await?;
    if !started.is_new {
        return again(state, started).await;
    }
    let StartedRun {
        run,
        parent,
        response,
        ..
    } = started;
    let run = thread::run_of(&run, &response);
    let progress = Progress::before_first_event(run, response.into());
    let cell = Arc::new(RunCell::new(progress.clone(), Some(state.bus().clone())));
    reservation.begin(Arc::clone(&cell));
    let messages: Vec<Message> = parent
        .filter(|_| is_new_message)
        .map(Message::from)
        .into_iter()
        .chain([progress.message])
        .collect();
    publish::messages_added(state, chat, messages.clone());
    state.bus().publish(Event::Chat(ChatEvent {
        chat,
        change: ChatChange::Started {
            run: Box::new(progress.run.clone()),
        },
    }));
    tokio::spawn(execute(state.clone(), cell, plan));
    publish_chat(state, chat, title).await?;
    Ok(RunStarted {
        run: progress.run,
        messages,
        last_event_id: position.to_string(),
    })
}

/// The first result of a request that was sent again.
async fn again(state: &GatewayState, started: StartedRun) -> Result<RunStarted, ApiProblem> {
    let snapshot = thread::snapshot(state, started.run.id).await?;
    Ok(RunStarted {
        run: snapshot.run,
        messages: started
            .parent
            .map(Message::from)
            .into_iter()
            .chain([snapshot.message])
            .collect(),
        last_event_id: snapshot.last_event_id,
    })
}

/// Gives the chat a title if it has none, and publishes that it has changed.
async fn publish_chat(
    state: &GatewayState,
    id: Uuid,
    title: Option<String>,
) -> Result<(), ApiProblem> {
    let store = state.chats().of(id);
    let mut chat = chats::get(store, OWNER, id).await?;
    let title = title.filter(|title| !title.is_empty());
    if let Some(title) = title
        && chat.config.is_title_automatic
        && chat.config.title.is_empty()
    {
        let set_title = |config: &mut chats::ChatConfig| {
            // A user may have chosen one since.
            if config.title.is_empty() {
                config.title = title;
            }
            Ok(())
        };
        chat = state.chats().edit(id, set_title).await?;
    }
    publish::changed(state, &chat.into());
    Ok(())
}

/// The task of a run.
async fn execute(state: GatewayState, cell: Arc<RunCell>, plan: Plan) {
    let store = state.chats().of(cell.chat).clone();
    let end = tokio::select! {
        biased;
        reason = cell.ended() => Ok(reason),
        end = compute(&state, &cell, &plan) => end,
        never = save::follow(&store, &cell) => match never {},
    };
    let end = match end {
        // By the list of running requests.
        Err(problem) if problem.code == CANCELLED => Ok(FinishReason::Stopped),
        end => end,
    };
    let last = cell.finish(end);
    let is_stored = save::result(&store, &cell).await;
    // A database that fails does not hide the end.
    cell.publish_last(last);
    if !is_stored {
        save::result_later(&store, &cell, state.runs()).await;
    }
    state.runs().remove(cell.id);
    publish::messages_added(&state, cell.chat, vec![cell.progress().message]);
    // Others may have changed it since. Without it, only the order of lists is not up to date.
    if let Ok(changed) = chats::get(&store, OWNER, cell.chat).await {
        publish::changed(&state, &changed.into());
    }
    cell.set_stored();
}

async fn compute(
    state: &GatewayState,
    cell: &RunCell,
    plan: &Plan,
) -> Result<FinishReason, Problem> {
    let request = make_request(state, cell, plan).await;
    let request = request.map_err(|problem| problem.to_wire(Some(cell.request_id.clone())))?;
    task::respond(state, cell, &request).await
}

async fn make_request(
    state: &GatewayState,
    cell: &RunCell,
    plan: &Plan,
) -> Result<RunRequest, ApiProblem> {
    let stores = state.chats();
    let messages = messages::list(stores.of(cell.chat), OWNER, cell.chat).await?;
    let mut branch = tree::branch(&messages, cell.message);
    if !plan.continues {
        branch.pop();
    }
    Ok(RunRequest {
        model: cell.model.clone(),
        protocol: cell.protocol,
        settings: with_seed(state, cell, plan).await,
        messages: request::prompt_of(stores, &cell.model, &branch).await?,
        continues: plan.continues,
    })
}

/// The settings of a run. It always has a seed, so that the response can be computed again.
async fn with_seed(state: &GatewayState, cell: &RunCell, plan: &Plan) -> RequestSettings {
    let (config, own) = (&plan.chat.config, &plan.options.settings);
    let mut settings = settings::effective(state, config, &cell.model, own).await;
    settings.seed.get_or_insert_with(new_seed);
    settings
}

fn new_seed() -> i64 {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    i64::from(random as u32)
}

/// What another response to the same message, or a first one to a message of the user, writes.
pub fn response_to(message: &messages::Message) -> Option<RunTarget> {
    let parent_id = match message.role {
        Role::Assistant => message.parent_id?,
        Role::User => message.id,
    };
    Some(RunTarget::Response { parent_id })
}
