//! `POST /api/chats/count`: the exact number of tokens of a request before it is sent.
//!
//! The gateway reads the tokenizer and the chat template itself, so that the model need not be loaded: see `counters`. Prompts
//! are made by the same functions as those of servers: see `prompts`.

mod counters;
mod prompts;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, post};
use mlxm_gateway::pool::plan::Verdict;
use mlxm_gateway::{AcquireRequest, Class, UserId};
use mlxm_store::chats::{self, ChatConfig};
use mlxm_store::messages::{self, Message, Part, tree};
use mlxm_store::{Store, Uuid};
use serde_json::Value;

pub use counters::TokenCounters;

use self::counters::{CountError, CounterKey};
use self::prompts::{Draft, understood};
use super::runs::{PromptMessage, RunRequest, part_texts, prompt_of};
use super::stores::ChatStores;
use super::{OWNER, attachments, settings};
use crate::gateway::GatewayState;
use crate::gateway::extract::JsonBody;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::proxy::Target;
use crate::gateway::settings::QUEUE_TIMEOUT_SECONDS;
use crate::gateway::workers::pool_target;
use crate::wire::chats::{ChatProtocol, CountRequest, TokenCount};
use crate::wire::profiles::RequestSettings;

/// Longest wait for the size that a server would have.
const SIZE_TIMEOUT: Duration = Duration::from_millis(500);

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![("/api/chats/count", post(count))]
}

/// Counts the tokens that a message would have in its chat, exactly as the server would. The model need not be loaded.
#[utoipa::path(
    post,
    path = "/api/chats/count",
    tag = "chats",
    operation_id = "count_tokens",
    request_body = CountRequest,
    responses((status = 200, body = TokenCount), (status = 404))
)]
pub async fn count(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<CountRequest>,
) -> Result<Json<TokenCount>, ApiProblem> {
    let stores = state.chats();
    let mut config = ChatConfig::default();
    let mut branch = Vec::new();
    if let Some(id) = request.chat {
        let store = stores.of(id);
        let chat = chats::get(store, OWNER, id).await?;
        branch = history(store, id, request.parent_id.or(chat.leaf_id)).await?;
        config = chat.config;
    }
    if request.system_prompt.is_some() {
        config.system_prompt = request.system_prompt;
    }
    let named = request.model.or_else(|| config.model.clone());
    let target = state.catalog().resolve(named.as_deref())?;
    let model = named.unwrap_or_else(|| target.model.clone());
    let own = RequestSettings::default();
    let settings = settings::effective(&state, &config, &model, &own).await;
    let (max_tokens, protocol) = (settings.max_tokens, ChatProtocol::from(config.protocol));
    let parts = attachments::describe(stores, "draft", request.draft).await?;
    let prompts = Prompts {
        stores,
        model: &model,
        protocol,
    };
    let draft = prompts.draft(settings, &branch, &parts).await?;
    let counters = state.token_counters().clone();
    let key = counter_key(&state, &target)?;
    let counted = tokio::task::spawn_blocking(move || {
        let counter = counters.get(&key)?;
        draft.count(&counter)
    });
    let (counted, context_length) = tokio::join!(counted, context_length(&state, &target));
    let counts = counted
        .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))?
        .map_err(|error: CountError| {
            ApiProblem::new(Code::MODEL_INVALID, format!("{model}: {error}"))
                .with_advice("`mlxm show` says more about the model")
        })?;
    Ok(Json(TokenCount {
        files: counts.files,
        total: counts.total as u64,
        system: counts.system as u64,
        history: (counts.history - counts.system) as u64,
        draft: (counts.text - counts.history) as u64,
        attachments: (counts.total - counts.text) as u64,
        context_length,
        max_tokens,
    }))
}

/// The branch that ends with a message.
async fn history(
    store: &Store,
    chat: Uuid,
    leaf: Option<Uuid>,
) -> Result<Vec<Message>, ApiProblem> {
    let Some(leaf) = leaf else {
        return Ok(Vec::new());
    };
    let all = messages::list(store, OWNER, chat).await?;
    let branch: Vec<Message> = tree::branch(&all, leaf).into_iter().cloned().collect();
    if branch.is_empty() {
        let detail = format!("there is no message `{leaf}` in the chat");
        return Err(ApiProblem::new(Code::MESSAGE_NOT_FOUND, detail));
    }
    Ok(branch)
}

/// Makes messages for a model, as the server of a run would understand them.
struct Prompts<'a> {
    stores: &'a ChatStores,
    model: &'a str,
    protocol: ChatProtocol,
}

impl Prompts<'_> {
    /// A branch, and the parts of a message that is being written.
    async fn draft(
        &self,
        settings: RequestSettings,
        branch: &[Message],
        parts: &[Part],
    ) -> Result<Draft, ApiProblem> {
        let branch: Vec<&Message> = branch.iter().collect();
        let history = prompt_of(self.stores, self.model, &branch).await?;
        let texts = part_texts(self.stores, self.model, "the draft", parts).await?;
        let (mut files, mut typed) = (Vec::new(), Vec::new());
        for (part, text) in parts.iter().zip(&texts) {
            match part {
                Part::Text { .. } => typed.push(text.as_str()),
                Part::Attachment { hash, .. } => {
                    files.push((hash.clone(), self.of_user(&[text])?));
                }
            }
        }
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(Draft {
            settings,
            history: self.understood(history)?,
            text: self.of_user(&typed)?,
            message: self.of_user(&all)?,
            files,
        })
    }

    /// A message of the user, or none without texts.
    fn of_user(&self, texts: &[&str]) -> Result<Vec<Value>, ApiProblem> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.understood(vec![PromptMessage::of_user(texts)])
    }

    fn understood(&self, messages: Vec<PromptMessage>) -> Result<Vec<Value>, ApiProblem> {
        let request = RunRequest {
            model: self.model.to_owned(),
            protocol: self.protocol,
            settings: RequestSettings::default(),
            messages,
            continues: false,
        };
        let messages = understood(self.protocol, &mut request.body());
        messages.map_err(|error| ApiProblem::from(&error))
    }
}

fn counter_key(state: &GatewayState, target: &Target) -> Result<CounterKey, ApiProblem> {
    let snapshot = state.snapshot();
    let directory = snapshot.directory(&target.model).ok_or_else(|| {
        let detail = format!(
            "the model {} is not on this machine, or is incomplete",
            target.model
        );
        ApiProblem::new(Code::MODEL_NOT_FOUND, detail)
            .with_advice(format!("run `mlxm pull {}`", target.model))
    })?;
    let profile = snapshot.profile_of(target);
    Ok(CounterKey {
        directory: directory.to_owned(),
        tool_call_parser: profile.and_then(|profile| profile.config.load.tool_call_parser.clone()),
    })
}

/// The context length of the server that would get the request: the running one, or the one that would be started.
async fn context_length(state: &GatewayState, target: &Target) -> Option<u64> {
    let snapshot = state.snapshot();
    let profile = snapshot.profile_of(target);
    let target = pool_target(&snapshot, state.settings(), &target.model, profile).ok()?;
    let status = state.pool().servers().await.ok()?;
    let mut running = status.servers.iter();
    if let Some(server) = running.find(|server| server.record.settings == *target.settings) {
        return Some(server.record.size.context_length);
    }
    let request = AcquireRequest {
        target,
        user: UserId(OWNER),
        class: Class::Interactive,
        queue_timeout: state.settings().duration(&QUEUE_TIMEOUT_SECONDS),
    };
    let verdict = tokio::time::timeout(SIZE_TIMEOUT, state.pool().dry_run(request)).await;
    match verdict.ok()?.ok()? {
        Verdict::Start { size } | Verdict::Evict { size, .. } => Some(size.context_length),
        Verdict::Ready { .. } | Verdict::Wait { .. } | Verdict::Reject(_) => None,
    }
}
