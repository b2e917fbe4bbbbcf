//! What follows the exit of a worker: another start after a delay, or none. Workers that failed stay listed.

use std::sync::Arc;

use uuid::Uuid;

use super::Owner;
use super::records::StoreChange;
use crate::pool::owner::ServerStatus;
use crate::pool::plan::{AfterExit, Event, WorkerFailure, WorkerId};
use crate::process::ExitCause;
use crate::process::restart::NextStart;
use crate::server::{ServerEvent, ServerFailure, ServerRecord, ServerState};
use crate::settings::LoadSettings;

impl Owner {
    /// Records the exit of a worker, and starts it again if it is needed.
    pub(super) fn exited(&mut self, worker: WorkerId, cause: ExitCause, log_tail: Vec<String>) {
        let Some(running) = self.workers.remove(&worker) else {
            return;
        };
        let last_used_at_ms = running.last_used_at_ms;
        let mut record = running.record;
        self.threads.exited(worker);
        let next = self.after_exit(&record, &cause);
        let detail = cause.describe();
        tracing::info!(server = %record.id, model = record.name, "a worker has exited: {detail}");
        record.state = match next {
            AfterExit::Gone => ServerState::Stopped,
            AfterExit::RetryAt(_) if self.state.is_needed(&record.settings) => {
                ServerState::Restarting
            }
            AfterExit::RetryAt(_) | AfterExit::Failed(_) => ServerState::Failed,
        };
        record.detail = Some(detail);
        record.process = None;
        record.port = None;
        let id = record.id;
        let failure = match &next {
            AfterExit::Gone => None,
            AfterExit::RetryAt(_) => Some(WorkerFailure {
                code: cause.kind().to_owned(),
                message: cause.describe(),
                advice: cause.advice(&record.name),
                permanent: false,
            }),
            AfterExit::Failed(failure) => Some(failure.clone()),
        };
        if let Some(failure) = failure {
            self.list_failed(record.clone(), &failure, log_tail.clone(), last_used_at_ms);
        }
        self.send(ServerEvent::Exited {
            id,
            cause,
            log_tail,
        });
        self.send(ServerEvent::Changed(Box::new(record)));
        self.change(StoreChange::Remove(id));
        self.apply(Event::Exited { worker, next });
    }

    /// Lists a worker until it is started again or dismissed.
    pub(super) fn list_failed(
        &mut self,
        record: ServerRecord,
        failure: &WorkerFailure,
        log_tail: Vec<String>,
        last_used_at_ms: Option<u64>,
    ) {
        let settings = Arc::new(record.settings.clone());
        let status = ServerStatus {
            record,
            running: 0,
            pinned: false,
            last_used_at_ms,
            failure: Some(ServerFailure {
                code: failure.code.clone(),
                message: failure.message.clone(),
                advice: failure.advice.clone(),
                log_tail,
            }),
        };
        self.failed.insert(settings, status);
    }

    /// Removes a worker that failed from the list; returns whether there is one.
    pub(super) fn dismiss(&mut self, server: Uuid) -> bool {
        let mut failed = self.failed.iter();
        let found = failed.find(|(_, status)| status.record.id == server);
        let Some(settings) = found.map(|(settings, _)| Arc::clone(settings)) else {
            return false;
        };
        self.unlist_failed(&settings);
        self.apply(Event::Dismiss(settings));
        true
    }

    /// Removes a worker that failed from the list before another one takes its place.
    pub(super) fn unlist_failed(&mut self, settings: &LoadSettings) {
        if let Some(status) = self.failed.remove(settings) {
            let record = ServerRecord {
                state: ServerState::Stopped,
                ..status.record
            };
            self.send(ServerEvent::Changed(Box::new(record)));
        }
    }

    fn after_exit(&mut self, record: &ServerRecord, cause: &ExitCause) -> AfterExit {
        if let ExitCause::Rejected(failed) = cause {
            return AfterExit::Failed(WorkerFailure {
                code: failed.code.clone(),
                message: failed.message.clone(),
                advice: failed.advice.clone(),
                permanent: true,
            });
        }
        if !cause.is_unexpected() {
            return AfterExit::Gone;
        }
        let now = self.now();
        let settings = Arc::new(record.settings.clone());
        let history = self.histories.entry(settings).or_default();
        match history.record(now, fastrand::f64()) {
            NextStart::After(delay) => AfterExit::RetryAt(now + delay),
            NextStart::Never => AfterExit::Failed(WorkerFailure {
                code: "crash_loop".to_owned(),
                message: format!(
                    "{} exited {} times within 5 minutes; the last time: {}",
                    record.name,
                    history.count(),
                    cause.describe()
                ),
                advice: format!("{}, then start it again", cause.advice(&record.name)),
                permanent: false,
            }),
        }
    }
}
