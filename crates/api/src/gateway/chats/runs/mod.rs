//! Runs: tasks that write responses, whether or not a client is connected.
//!
//! # Map
//! - `routes`, `start`: what begins a run. `task`: the run itself. `waiting`: what it waits for.
//! - `request`, `decode`: the request and the stream of each API. `meter`: tokens and times.
//! - `progress`: a response as the sum of its events; pure. `cell`: a run in progress. `reserve`: one that is about to be stored.
//!   `save`: what is stored of it.
//! - `thread`: messages together with the runs that write them. `receipt`, `reproduce`: a response computed again.
//!
//! # Invariants
//! - A run sends its request the way that those of clients take: the same limits, queue and audit log.
//! - The response is the sum of its events. A snapshot has the number of the last event in it, and events are published in the
//!   order of their numbers, so that any number of readers attach without gaps or duplicates.
//! - The last events are published after the first attempt to store the result. Who reads the end can go on with the chat.
//! - A gateway that is killed loses at most the last 500 ms of text; its next start marks the response as interrupted.

mod cell;
mod decode;
mod meter;
mod progress;
mod receipt;
mod reproduce;
mod request;
mod reserve;
pub(in crate::gateway) mod routes;
mod save;
mod start;
mod task;
mod thread;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use futures_util::future::join_all;
use mlxm_store::{Store, StoreError, Uuid};
use tokio::sync::watch;
use tower::ServiceExt as _;

pub use request::{PromptMessage, RunRequest, part_texts, prompt_of};
pub use routes::routes;
pub use thread::thread;

use self::cell::RunCell;
use self::reserve::Slot;
use crate::gateway::proxy::{Proxy, own_router};
use crate::wire::runs::FinishReason;

/// Longest wait until runs that end early are stored.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The runs in progress; clones share them.
#[derive(Clone)]
pub struct Runs(Arc<Shared>);

struct Shared {
    router: Router,
    live: Mutex<BTreeMap<Uuid, Slot>>,
    /// A run has begun, or is not stored after all.
    begun: watch::Sender<()>,
    /// Whether the gateway exits. It changes while `live` is locked.
    closed: watch::Sender<bool>,
}

impl Runs {
    /// No runs yet. Their requests go through `proxy`.
    pub fn new(proxy: Proxy) -> Self {
        Self(Arc::new(Shared {
            router: own_router(proxy),
            live: Mutex::default(),
            begun: watch::Sender::new(()),
            closed: watch::Sender::new(false),
        }))
    }

    /// Marks what gateways that have ended left as interrupted. Called before there are runs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recover(store: &Store, gateway: Uuid) -> Result<(), StoreError> {
        let interrupted = mlxm_store::runs::interrupt(store, gateway).await?;
        if !interrupted.is_empty() {
            let count = interrupted.len();
            tracing::warn!(
                count,
                "responses were interrupted by the end of their gateway"
            );
        }
        Ok(())
    }

    /// Ends all runs as interrupted, and waits until that is stored. New ones are rejected.
    pub async fn shutdown(&self) {
        let ids: Vec<Uuid> = {
            let live = self.lock();
            self.0.closed.send_replace(true);
            live.keys().copied().collect()
        };
        let ends = ids
            .into_iter()
            .map(|id| self.end(id, FinishReason::Interrupted));
        let stored = join_all(ends);
        if tokio::time::timeout(END_TIMEOUT, stored).await.is_err() {
            tracing::warn!("responses in progress could not be stored");
        }
    }

    /// Waits until the gateway exits.
    async fn closed(&self) {
        // The sender is in `self`.
        let _ = self.0.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The run in progress with this id. Waits for one that is being stored with its messages.
    async fn get(&self, id: Uuid) -> Option<Arc<RunCell>> {
        // Before the first look, so that no change is missed.
        let mut begun = self.0.begun.subscribe();
        loop {
            let cell = self.lock().get(&id).map(Slot::cell)?;
            if cell.is_some() {
                return cell;
            }
            // The sender is in `self`.
            let _ = begun.changed().await;
        }
    }

    /// The runs in progress of a chat.
    fn of_chat(&self, chat: Uuid) -> Vec<Arc<RunCell>> {
        let live = self.lock();
        let slots = live.values().filter(|slot| slot.chat() == chat);
        slots.filter_map(Slot::cell).collect()
    }

    /// Ends the runs of a chat that is deleted, and waits until their results are stored.
    pub async fn stop_chat(&self, chat: Uuid) {
        let ids: Vec<Uuid> = {
            let live = self.lock();
            let of_chat = live.iter().filter(|(_, slot)| slot.chat() == chat);
            of_chat.map(|(id, _)| *id).collect()
        };
        join_all(ids.into_iter().map(|id| self.stop(id))).await;
    }

    /// Ends a run, and waits until its result is stored. Does nothing with one that has ended.
    async fn stop(&self, id: Uuid) {
        // One that takes longer ends later.
        let _ = tokio::time::timeout(END_TIMEOUT, self.end(id, FinishReason::Stopped)).await;
    }

    async fn end(&self, id: Uuid, reason: FinishReason) {
        if let Some(cell) = self.get(id).await {
            cell.end(reason);
            cell.stored().await;
        }
    }

    fn remove(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    /// Sends a request of a run.
    async fn send(&self, request: Request<Body>) -> Response {
        match self.0.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Slot>> {
        // Every change of it is complete before anything can panic.
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
