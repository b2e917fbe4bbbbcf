//! A run in progress: what its task, its readers and those who stop it share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mlxm_store::{Uuid, now_ms};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::meter::{Counts, Meter};
use super::progress::Progress;
use super::receipt;
use crate::gateway::events::Bus;
use crate::wire::Problem;
use crate::wire::chats::{ChatChange, ChatEvent, ChatProtocol};
use crate::wire::events::Event;
use crate::wire::runs::{FinishReason, Receipt, RunEvent, RunEventKind, Usage};

/// Longest time from an event to the snapshot that has it: what a crash of the gateway can lose, with time for the write itself
/// within 500 ms.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(400);

/// Most text between two snapshots.
const SNAPSHOT_BYTES: usize = 2 << 10;

/// A run in progress.
pub struct RunCell {
    /// Its id.
    pub id: Uuid,
    /// Its chat.
    pub chat: Uuid,
    /// The response that it writes.
    pub message: Uuid,
    /// Name of the model or profile.
    pub model: String,
    /// The API that it uses.
    pub protocol: ChatProtocol,
    /// The `x-request-id` of its request.
    pub request_id: String,
    inner: Mutex<Inner>,
    /// Where its events are published; `None` for a comparison, which no one follows.
    bus: Option<Bus>,
    /// Why it is to end before its completion does.
    end: watch::Sender<Option<FinishReason>>,
    /// An event came.
    changed: Notify,
    /// Whether the result is stored.
    stored: watch::Sender<bool>,
}

struct Inner {
    progress: Progress,
    meter: Meter,
    /// Text and reasoning of the completion.
    written_bytes: usize,
    unsaved_bytes: usize,
    /// When the first event came that no snapshot has.
    unsaved_since: Option<Instant>,
}

impl RunCell {
    /// A run that starts now.
    pub fn new(progress: Progress, bus: Option<Bus>) -> Self {
        let run = &progress.run;
        Self {
            id: run.id,
            chat: run.chat,
            message: run.message,
            model: run.model.clone(),
            protocol: run.protocol,
            request_id: run.request_id.clone(),
            inner: Mutex::new(Inner {
                progress,
                meter: Meter::start(),
                written_bytes: 0,
                unsaved_bytes: 0,
                unsaved_since: None,
            }),
            bus,
            end: watch::Sender::new(None),
            changed: Notify::new(),
            stored: watch::Sender::new(false),
        }
    }

    /// The run and its response as of now.
    pub fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    /// Tokens and times as of the last event about them.
    pub fn usage(&self) -> Option<Usage> {
        self.lock().progress.run.usage
    }

    /// Characters of the text of the response.
    pub fn text_length(&self) -> u64 {
        receipt::text_length(&self.lock().progress.message)
    }

    /// Adds an event, and publishes it.
    pub fn emit(&self, event: RunEventKind) {
        let mut inner = self.lock();
        let is_due = inner.meter.observe(&event);
        self.add(&mut inner, event);
        if is_due {
            let usage = inner.meter.usage();
            self.add(&mut inner, RunEventKind::Usage { usage });
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// A server has the request.
    pub fn sent(&self) {
        self.lock().meter.sent();
    }

    /// The server has counted everything.
    pub fn count(&self, counts: Counts) {
        self.lock().meter.count(counts);
    }

    /// Sets what is needed to compute the response again.
    pub fn set_receipt(&self, receipt: Receipt) {
        self.lock().progress.message.receipt = Some(Box::new(receipt));
    }

    /// Adds the last events. They are returned, to be published once the result is stored: who reads the end goes on with what is
    /// stored.
    pub fn finish(&self, end: Result<FinishReason, Problem>) -> Vec<RunEvent> {
        let mut inner = self.lock();
        let usage = inner.meter.usage();
        let mut last = vec![RunEventKind::Usage { usage }];
        let reason = end.unwrap_or_else(|problem| {
            let problem = Box::new(problem);
            last.push(RunEventKind::Error { problem });
            FinishReason::Failed
        });
        last.push(RunEventKind::Finished { reason });
        let events = last.into_iter();
        events
            .map(|event| inner.progress.apply(event, now_ms()))
            .collect()
    }

    /// Publishes the last events.
    pub fn publish_last(&self, events: Vec<RunEvent>) {
        for event in events {
            self.publish(event);
        }
    }

    /// Ends the run early: a user stops it, or the gateway exits. The first reason counts.
    pub fn end(&self, reason: FinishReason) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(reason);
            }
            is_first
        });
    }

    /// Waits until the run is to end early.
    pub async fn ended(&self) -> FinishReason {
        let mut end = self.end.subscribe();
        let reason = end.wait_for(Option::is_some).await.map(|reason| *reason);
        match reason.ok().flatten() {
            Some(reason) => reason,
            // The sender is in `self`.
            None => std::future::pending().await,
        }
    }

    /// The result is stored.
    pub fn set_stored(&self) {
        self.stored.send_replace(true);
    }

    /// Waits until the result is stored.
    pub async fn stored(&self) {
        // The sender is in `self`.
        let _ = self.stored.subscribe().wait_for(|stored| *stored).await;
    }

    /// Waits until the completion has this much text, reasoning included. Only for a comparison: of a run that is stored,
    /// [`Self::next_snapshot`] waits for the changes.
    pub async fn has_written(&self, bytes: usize) {
        while self.lock().written_bytes < bytes {
            self.changed.notified().await;
        }
    }

    /// Waits until a snapshot is to be stored: some time after a change.
    pub async fn next_snapshot(&self) -> Progress {
        let since = self.unsaved_since().await;
        // The time is over if there is little text.
        let _ = timeout_at(since + SNAPSHOT_INTERVAL, self.has_much_unsaved()).await;
        let mut inner = self.lock();
        inner.unsaved_bytes = 0;
        inner.unsaved_since = None;
        inner.progress.clone()
    }

    /// Waits for an event that no snapshot has.
    async fn unsaved_since(&self) -> Instant {
        loop {
            let since = self.lock().unsaved_since;
            if let Some(since) = since {
                return since;
            }
            self.changed.notified().await;
        }
    }

    async fn has_much_unsaved(&self) {
        while self.lock().unsaved_bytes < SNAPSHOT_BYTES {
            self.changed.notified().await;
        }
    }

    /// With the lock held, so that events are published in the order of their numbers.
    fn add(&self, inner: &mut Inner, event: RunEventKind) {
        let text = text_bytes(&event);
        inner.written_bytes += text;
        inner.unsaved_bytes += text + argument_bytes(&event);
        inner.unsaved_since.get_or_insert_with(Instant::now);
        let event = inner.progress.apply(event, now_ms());
        self.publish(event);
    }

    fn publish(&self, event: RunEvent) {
        if let Some(bus) = &self.bus {
            bus.publish(Event::Chat(ChatEvent {
                chat: self.chat,
                change: ChatChange::Run { event },
            }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change of it is complete before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_bytes(event: &RunEventKind) -> usize {
    match event {
        RunEventKind::Reasoning { text } | RunEventKind::Text { text } => text.len(),
        _ => 0,
    }
}

fn argument_bytes(event: &RunEventKind) -> usize {
    match event {
        RunEventKind::ToolCall { arguments, .. } => arguments.len(),
        _ => 0,
    }
}
