//! The task that owns the pool's state: commands and notices in, decisions of the plan, processes out.

mod command;
mod exits;
mod records;
mod threads;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use tokio::sync::{broadcast, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

pub use command::Command;
use records::{StoreChange, start_writer};
use threads::Threads;

use super::lease::{Lease, Release};
use super::owner::{PoolStatus, ServerStatus, ShutdownMode};
use super::plan::{
    Action, AfterExit, Event, PlanConfig, PoolState, Rejection, RequestId, StopReason, Time,
    WorkerFailure, WorkerId,
};
use crate::process::restart::ExitHistory;
use crate::process::worker::{self, Notice, WorkerHandle};
use crate::process::{LaunchConfig, adopt};
use crate::server::{
    ProcessIdentity, ServerEvent, ServerRecord, ServerState, ServerStore, StoreError,
};
use crate::settings::{CacheSize, LoadSettings, Target};

/// The version of the workers that this gateway starts.
const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Running {
    record: ServerRecord,
    handle: WorkerHandle,
    last_used_at_ms: Option<u64>,
}

impl Running {
    fn new(record: ServerRecord, handle: WorkerHandle) -> Self {
        Self {
            record,
            handle,
            last_used_at_ms: None,
        }
    }
}

struct Owner {
    state: PoolState,
    launch: LaunchConfig,
    started: Instant,
    /// When what was due was last done: commands that change nothing do not do it.
    applied: Time,
    workers: BTreeMap<WorkerId, Running>,
    replies: BTreeMap<RequestId, oneshot::Sender<Result<Lease, Rejection>>>,
    histories: BTreeMap<Arc<LoadSettings>, ExitHistory>,
    threads: Threads,
    /// Workers that failed, until they are started again or dismissed.
    failed: BTreeMap<Arc<LoadSettings>, ServerStatus>,
    /// Weak, so that the task ends when all handles and leases are dropped.
    commands: WeakUnboundedSender<Command>,
    notices: UnboundedSender<(WorkerId, Notice)>,
    events: broadcast::Sender<ServerEvent>,
    store: UnboundedSender<StoreChange>,
    shutdown: Option<(ShutdownMode, oneshot::Sender<()>)>,
}

/// Adopts running workers and starts the task.
///
/// # Errors
/// If the store cannot be read.
pub async fn start(
    plan: PlanConfig,
    compute_threads: usize,
    launch: LaunchConfig,
    store: impl ServerStore,
    events: broadcast::Sender<ServerEvent>,
) -> Result<UnboundedSender<Command>, StoreError> {
    let records = store.list().await?;
    let (changes, writer) = start_writer(store);
    let (commands, received) = mpsc::unbounded_channel();
    let (notices, noticed) = mpsc::unbounded_channel();
    let mut owner = Owner {
        state: PoolState::new(plan),
        launch,
        started: Instant::now(),
        applied: Time::ZERO,
        workers: BTreeMap::new(),
        replies: BTreeMap::new(),
        histories: BTreeMap::new(),
        threads: Threads::new(compute_threads),
        failed: BTreeMap::new(),
        commands: commands.downgrade(),
        notices,
        events,
        store: changes,
        shutdown: None,
    };
    owner.adopt(records).await;
    tokio::spawn(owner.run(received, noticed, writer));
    Ok(commands)
}

impl Owner {
    async fn run(
        mut self,
        mut commands: UnboundedReceiver<Command>,
        mut notices: UnboundedReceiver<(WorkerId, Notice)>,
        writer: JoinHandle<()>,
    ) {
        // Idle workers of another version are stopped at once.
        self.apply(Event::Tick);
        loop {
            // Not since now, before which something may have become due meanwhile.
            let wakeup = self.state.next_wakeup(self.applied);
            // A time that cannot be represented never comes.
            let wakeup = wakeup.and_then(|time| self.started.checked_add(time));
            let threads_due = self.threads.due();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                Some((worker, notice)) = notices.recv() => self.notice(worker, notice),
                () = crate::time::sleep_until(wakeup) => self.apply(Event::Tick),
                () = crate::time::sleep_until(threads_due) => self.share_threads(),
            }
            let exits = self.shutdown.as_ref().is_some_and(|(mode, _)| {
                *mode == ShutdownMode::KeepWorkers || self.workers.is_empty()
            });
            if exits {
                break;
            }
        }
        self.finish(writer).await;
    }

    /// Leaves running workers to the next gateway, and waits until all records are stored.
    async fn finish(mut self, writer: JoinHandle<()>) {
        for worker in std::mem::take(&mut self.workers).into_values() {
            let record = ServerRecord {
                state: ServerState::Orphaned,
                ..worker.record
            };
            self.publish(record);
        }
        let reply = self.shutdown.take();
        // Closes the channel, so that the writer ends.
        drop(self);
        let _ = writer.await;
        if let Some((_, reply)) = reply {
            let _ = reply.send(());
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    async fn adopt(&mut self, records: Vec<ServerRecord>) {
        let mut attempts = JoinSet::new();
        for record in records {
            let launch = self.launch.clone();
            attempts.spawn(async move { (adopt::adopt(&launch, &record).await, record) });
        }
        // An attempt that panicked is a worker that exits by itself after its grace period.
        while let Some(attempt) = attempts.join_next().await {
            let Ok((adopted, record)) = attempt else {
                continue;
            };
            match adopted {
                Some((process, port)) => self.attach(record, process, port),
                None => self.change(StoreChange::Remove(record.id)),
            }
        }
    }

    fn attach(&mut self, record: ServerRecord, process: ProcessIdentity, port: u16) {
        let target = Target {
            name: record.name.clone(),
            settings: Arc::new(record.settings.clone()),
            ttl: record.ttl,
        };
        let outdated = record.version.as_deref() != Some(VERSION);
        let worker = self.state.adopt(target, record.size, outdated, self.now());
        let notices = self.notices.clone();
        let handle = worker::attach(&self.launch, worker, record.id, process, port, notices);
        tracing::info!(server = %record.id, model = record.name, "adopted a running worker");
        let record = ServerRecord {
            state: ServerState::Ready,
            detail: None,
            ..record
        };
        self.publish(record.clone());
        self.workers.insert(worker, Running::new(record, handle));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Acquire { arrival, reply } => {
                self.replies.insert(arrival.request, reply);
                self.apply(Event::Acquire(arrival));
            }
            Command::Cancel(request) => {
                if self.replies.remove(&request).is_some() {
                    self.apply(Event::Cancel(request));
                }
            }
            Command::Release { worker, request } => {
                if let Some(running) = self.workers.get_mut(&worker) {
                    running.last_used_at_ms = Some(unix_time_ms());
                }
                self.apply(Event::Release { worker, request });
                self.leases_changed(worker);
            }
            Command::DryRun { arrival, reply } => {
                let _ = reply.send(self.state.dry_run(arrival, self.now()));
            }
            Command::Retain(retained) => self.apply(Event::Retain(retained)),
            Command::Forget(settings) => self.apply(Event::Forget(settings)),
            Command::Reset(settings) => {
                self.histories.remove(&settings);
                self.unlist_failed(&settings);
                self.apply(Event::Reset(settings));
            }
            Command::Stop { server, reply } => {
                let mut workers = self.workers.iter();
                let worker = workers.find(|(_, worker)| worker.record.id == server);
                let worker = worker.map(|(id, _)| *id);
                let found = match worker {
                    Some(worker) => {
                        self.apply(Event::Stop(worker));
                        true
                    }
                    None => self.dismiss(server),
                };
                let _ = reply.send(found);
            }
            Command::SetBudget(bytes) => self.apply(Event::SetBudget(bytes)),
            Command::MemoryPressure(reply) => {
                let _ = reply.send(self.relieve_memory_pressure());
            }
            Command::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Command::Shutdown { mode, reply } => {
                self.shutdown = Some((mode, reply));
                self.apply(Event::Shutdown);
                if mode == ShutdownMode::StopWorkers {
                    for worker in self.workers.keys().copied().collect::<Vec<_>>() {
                        self.apply(Event::Stop(worker));
                    }
                }
            }
        }
    }

    fn notice(&mut self, worker: WorkerId, notice: Notice) {
        let Some(running) = self.workers.get_mut(&worker) else {
            return;
        };
        let id = running.record.id;
        match notice {
            Notice::Loading {
                loaded_bytes,
                total_bytes,
            } => self.send(ServerEvent::Loading {
                id,
                loaded_bytes,
                total_bytes,
            }),
            Notice::Ready(ready) => {
                let admitted = running.record.size.plan_bytes;
                let plan_bytes = ready.plan.map_or(admitted, |plan| plan.total_bytes);
                if plan_bytes != admitted {
                    tracing::warn!(server = %id, admitted, plan_bytes, "the worker's memory plan is another one");
                }
                running.record.port = Some(ready.port);
                running.record.size.plan_bytes = plan_bytes;
                tracing::info!(server = %id, port = ready.port, "a worker is ready");
                running.record.version = Some(ready.version);
                running.record.capabilities = ready.capabilities;
                self.apply(Event::Ready { worker, plan_bytes });
                self.state_changed(worker);
            }
            Notice::Unhealthy => {
                self.apply(Event::Unhealthy(worker));
                self.state_changed(worker);
            }
            Notice::Healthy => {
                self.apply(Event::Healthy(worker));
                self.state_changed(worker);
            }
            Notice::Threads(threads) => self.threads.changed(worker, threads),
            Notice::Exited { cause, log_tail } => self.exited(worker, cause, log_tail),
        }
    }

    /// Stops an idle worker, if there is one; returns it.
    fn relieve_memory_pressure(&mut self) -> Option<ServerRecord> {
        let worker = self.state.next_evicted(self.now());
        self.apply(Event::MemoryPressure);
        let record = &self.workers.get(&worker?)?.record;
        (record.state == ServerState::Stopping).then(|| record.clone())
    }

    /// Applies an event, and does what follows from it.
    fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            self.applied = now;
            for action in self.state.apply(event, now) {
                events.extend(self.perform(action));
            }
        }
    }

    /// Performs an action; returns what it causes at once.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start {
                worker,
                target,
                size,
            } => self.start(worker, &target, size),
            Action::Stop { worker, reason } => {
                self.stop(worker, reason);
                None
            }
            Action::Grant { request, worker } => self.grant(request, worker),
            Action::Reject { request, rejection } => {
                if let Some(reply) = self.replies.remove(&request) {
                    // The client may have disconnected.
                    let _ = reply.send(Err(rejection));
                }
                None
            }
        }
    }

    fn start(&mut self, worker: WorkerId, target: &Target, size: CacheSize) -> Option<Event> {
        let id = Uuid::now_v7();
        let restarts = self
            .histories
            .get(&target.settings)
            .map_or(0, ExitHistory::count);
        let mut record = ServerRecord {
            id,
            name: target.name.clone(),
            settings: (*target.settings).clone(),
            size,
            ttl: target.ttl,
            port: None,
            version: None,
            capabilities: Value::Null,
            process: None,
            state: ServerState::Starting,
            detail: None,
            started_at_ms: unix_time_ms(),
            restarts,
        };
        let notices = self.notices.clone();
        match worker::start(&self.launch, worker, id, &target.settings, size, notices) {
            Ok(handle) => {
                record.process.clone_from(&handle.identity);
                self.unlist_failed(&target.settings);
                self.publish(record.clone());
                self.workers.insert(worker, Running::new(record, handle));
                self.threads.started(worker, target.settings.threads);
                None
            }
            Err(error) => {
                let program = self.launch.program.display();
                let failure = WorkerFailure {
                    code: "spawn_failed".to_owned(),
                    message: format!("cannot start {program}: {error}"),
                    advice: "run `mlxm doctor`".to_owned(),
                    permanent: false,
                };
                record.state = ServerState::Failed;
                record.detail = Some(failure.message.clone());
                self.send(ServerEvent::Changed(Box::new(record.clone())));
                self.list_failed(record, &failure, Vec::new(), None);
                Some(Event::Exited {
                    worker,
                    next: AfterExit::Failed(failure),
                })
            }
        }
    }

    fn stop(&mut self, worker: WorkerId, reason: StopReason) {
        if let Some(running) = self.workers.get_mut(&worker) {
            running.handle.stop();
            let detail = match reason {
                StopReason::Evicted => "its memory is needed",
                StopReason::Expired => "it was idle",
                StopReason::MemoryPressure => "the system is short of memory",
                StopReason::Outdated => "its program is of another version",
                StopReason::Requested => "stopped by a user or by the exit of the gateway",
            };
            running.record.detail = Some(detail.to_owned());
        }
        self.state_changed(worker);
    }

    fn grant(&mut self, request: RequestId, worker: WorkerId) -> Option<Event> {
        let release = Event::Release { worker, request };
        let (Some(reply), Some(running), Some(commands)) = (
            self.replies.remove(&request),
            self.workers.get_mut(&worker),
            self.commands.upgrade(),
        ) else {
            return Some(release);
        };
        running.last_used_at_ms = Some(unix_time_ms());
        let record = &mut running.record;
        if let Some(granted) = self.state.worker(worker) {
            record.ttl = granted.target.ttl;
        }
        let Some(port) = record.port else {
            return Some(release);
        };
        let lease = Lease {
            server: record.id,
            port,
            key: self.launch.keys.derive(record.id),
            name: record.name.clone(),
            _release: Release {
                worker,
                request,
                commands,
            },
        };
        // If the client has disconnected, dropping the lease releases it.
        let _ = reply.send(Ok(lease));
        self.leases_changed(worker);
        None
    }

    fn status(&self) -> PoolStatus {
        let servers = self.workers.iter().map(|(id, running)| ServerStatus {
            record: running.record.clone(),
            running: self.leases(*id),
            pinned: self.state.is_pinned(&running.record.settings),
            last_used_at_ms: running.last_used_at_ms,
            failure: None,
        });
        let failed = self.failed.values().map(|failed| ServerStatus {
            pinned: self.state.is_pinned(&failed.record.settings),
            ..failed.clone()
        });
        PoolStatus {
            budget_bytes: self.state.budget_bytes(),
            used_bytes: self.state.used_bytes(),
            waiting: self.state.waiting(),
            servers: servers.collect(),
            failed: failed.collect(),
        }
    }

    fn leases(&self, worker: WorkerId) -> usize {
        self.state
            .worker(worker)
            .map_or(0, |worker| worker.leases.len())
    }

    fn leases_changed(&mut self, worker: WorkerId) {
        let running = self.leases(worker);
        if let Some(entry) = self.workers.get(&worker) {
            let id = entry.record.id;
            self.send(ServerEvent::Leases { id, running });
            self.threads.set_active(worker, running > 0);
        }
    }
}

fn unix_time_ms() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time: Duration| time.as_millis() as u64)
}
