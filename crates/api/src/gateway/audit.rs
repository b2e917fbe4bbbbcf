//! The audit log: one row for each request that has ended, written by one task in batches.
//!
//! Nothing waits for it. While the database fails, up to [`QUEUED_RECORDS`] records wait; further ones are dropped.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlxm_store::requests::{self, Request, TokenUsage};
use mlxm_store::{Store, StoreError, Uuid};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::clients::ClientTracker;
use super::events::Bus;
use super::metrics::RequestCounters;
use super::proxy::RequestRecord;
use crate::wire::audit::AuditRow;
use crate::wire::events::Event;

/// Records that wait for the writer.
pub const QUEUED_RECORDS: usize = 10_000;

/// Most rows in a transaction.
const BATCH_ROWS: usize = 100;

/// Longest time from the first record of a batch until it is written.
const BATCH_TIME: Duration = Duration::from_millis(250);

/// Time between two attempts while the database fails.
const RETRY_TIME: Duration = Duration::from_secs(1);

/// Longest wait for the last rows when the gateway exits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the database accepts rows.
#[derive(Debug, Default)]
pub struct DatabaseHealth {
    fails: AtomicBool,
    lost_rows: AtomicU64,
}

impl DatabaseHealth {
    /// Records the result of a write.
    pub fn record<T>(&self, result: &Result<T, StoreError>) {
        self.fails.store(result.is_err(), Ordering::Relaxed);
    }

    /// Whether the last write failed.
    pub fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    /// Rows that could not be stored.
    pub fn lost_rows(&self) -> u64 {
        self.lost_rows.load(Ordering::Relaxed)
    }
}

/// The writer.
#[derive(Debug)]
pub struct AuditWriter {
    task: JoinHandle<()>,
    close: oneshot::Sender<()>,
}

impl AuditWriter {
    /// Starts a task that stores records as rows of this gateway, and publishes them then. Returns also the channel of the
    /// records.
    pub fn start(
        store: Store,
        gateway: Uuid,
        bus: Bus,
        health: Arc<DatabaseHealth>,
        counters: RequestCounters,
        clients: ClientTracker,
    ) -> (Self, mpsc::Sender<RequestRecord>) {
        let insert = move |rows: Vec<Request>| {
            let store = store.clone();
            async move { (requests::insert(&store, &rows).await, rows) }
        };
        let (records, received) = mpsc::channel(QUEUED_RECORDS);
        let (close, closed) = oneshot::channel();
        let writer = Writer {
            gateway,
            bus,
            health,
            counters,
            clients,
        };
        let task = tokio::spawn(writer.run(received, closed, insert));
        (Self { task, close }, records)
    }

    /// Stores the records so far, and stops.
    pub async fn close(self) {
        // The task may have panicked.
        let _ = self.close.send(());
        if tokio::time::timeout(CLOSE_TIMEOUT, self.task)
            .await
            .is_err()
        {
            tracing::warn!(
                "the last requests are missing in the audit log: the database does not respond"
            );
        }
    }
}

struct Writer {
    gateway: Uuid,
    bus: Bus,
    health: Arc<DatabaseHealth>,
    counters: RequestCounters,
    clients: ClientTracker,
}

impl Writer {
    async fn run<I, F>(
        self,
        mut records: mpsc::Receiver<RequestRecord>,
        mut closed: oneshot::Receiver<()>,
        insert: I,
    ) where
        I: Fn(Vec<Request>) -> F,
        F: Future<Output = (Result<(), StoreError>, Vec<Request>)>,
    {
        loop {
            let mut batch = Vec::new();
            let closing = tokio::select! {
                record = records.recv() => match record {
                    Some(record) => {
                        batch.push(record);
                        fill(&mut batch, &mut records, &mut closed).await
                    }
                    None => return,
                },
                _ = &mut closed => true,
            };
            if closing {
                records.close();
                while let Ok(record) = records.try_recv() {
                    batch.push(record);
                }
            }
            self.write(&batch, closing, &insert).await;
            if closing {
                return;
            }
        }
    }

    /// Stores a batch, and retries while the database fails; only once if the gateway exits.
    async fn write<I, F>(&self, batch: &[RequestRecord], closing: bool, insert: &I)
    where
        I: Fn(Vec<Request>) -> F,
        F: Future<Output = (Result<(), StoreError>, Vec<Request>)>,
    {
        for record in batch {
            self.counters.record(record);
            let activity = Box::new(self.clients.record(record));
            self.bus.publish(Event::Clients(activity));
        }
        let mut rows: Vec<Request> = batch
            .iter()
            .map(|record| row(record, self.gateway))
            .collect();
        while !rows.is_empty() {
            let (result, same) = insert(rows).await;
            rows = same;
            self.health.record(&result);
            match result {
                Ok(()) => {
                    for row in rows {
                        self.bus
                            .publish(Event::Audit(Box::new(AuditRow::from(row))));
                    }
                    return;
                }
                Err(error) if is_transient(&error) && !closing => {
                    tracing::warn!(%error, rows = rows.len(), "the audit log cannot be written: trying again");
                    sleep(RETRY_TIME).await;
                }
                Err(error) => {
                    tracing::error!(%error, rows = rows.len(), "rows of the audit log are lost");
                    let lost = rows.len() as u64;
                    self.health.lost_rows.fetch_add(lost, Ordering::Relaxed);
                    return;
                }
            }
        }
    }
}

/// Waits for more records until the batch is due. Returns whether the gateway exits.
async fn fill(
    batch: &mut Vec<RequestRecord>,
    records: &mut mpsc::Receiver<RequestRecord>,
    closed: &mut oneshot::Receiver<()>,
) -> bool {
    let due = Instant::now() + BATCH_TIME;
    while batch.len() < BATCH_ROWS {
        tokio::select! {
            received = timeout_at(due, records.recv()) => match received {
                Ok(Some(record)) => batch.push(record),
                Ok(None) | Err(_) => return false,
            },
            _ = &mut *closed => return true,
        }
    }
    false
}

/// Whether the same rows may be accepted later.
fn is_transient(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(_) | StoreError::Io { .. })
}

fn row(record: &RequestRecord, gateway: Uuid) -> Request {
    let usage = record.usage.as_ref();
    let model = record.profile.as_ref().or(record.model.as_ref());
    Request {
        id: Uuid::now_v7(),
        gateway_id: gateway,
        request_id: record.request_id.clone(),
        at_ms: unix_ms(record.received_at),
        endpoint: record.route.clone(),
        model: model.cloned().unwrap_or_default(),
        served_by: record.worker.as_ref().map(|_| "local".to_owned()),
        status: record.status,
        error_kind: record.error.map(str::to_owned),
        finish_reason: usage
            .and_then(|usage| usage.finish)
            .map(|finish| finish.as_str().to_owned()),
        usage: usage.map(|usage| TokenUsage {
            prompt_tokens: usage.prompt_tokens as u64,
            cached_tokens: usage.cached_tokens as u64,
            completion_tokens: usage.completion_tokens as u64,
        }),
        queue_ms: usage.and_then(|usage| usage.queue_ms).map(whole_ms),
        time_to_first_token_ms: usage.and_then(|usage| usage.first_token_ms).map(whole_ms),
        duration_ms: u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

fn whole_ms(milliseconds: f64) -> u64 {
    milliseconds.round() as u64
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::gateway::proxy::Class;
    use crate::{RequestUsage, UsageFinish};

    fn record(request_id: &str) -> RequestRecord {
        RequestRecord {
            request_id: request_id.to_owned(),
            client: "other",
            route: "/v1/chat/completions".to_owned(),
            model: Some("org/model".to_owned()),
            profile: None,
            worker: Some("worker".into()),
            class: Class::Normal,
            received_at: UNIX_EPOCH + Duration::from_millis(5),
            duration: Duration::from_millis(70),
            status: 200,
            error: None,
            usage: Some(RequestUsage {
                prompt_tokens: 3,
                cached_tokens: 1,
                completion_tokens: 2,
                queue_ms: Some(0.6),
                first_token_ms: Some(38.4),
                total_ms: 69.0,
                finish: Some(UsageFinish::Stop),
            }),
        }
    }

    /// A table whose next inserts fail.
    #[derive(Default)]
    struct Table {
        rows: Mutex<Vec<Vec<String>>>,
        failures: Mutex<Vec<StoreError>>,
    }

    impl Table {
        fn insert(&self, rows: &[Request]) -> Result<(), StoreError> {
            if let Some(error) = self.failures.lock().unwrap().pop() {
                return Err(error);
            }
            let ids = rows.iter().map(|row| row.request_id.clone()).collect();
            self.rows.lock().unwrap().push(ids);
            Ok(())
        }
    }

    struct Running {
        table: Arc<Table>,
        health: Arc<DatabaseHealth>,
        records: mpsc::Sender<RequestRecord>,
        close: oneshot::Sender<()>,
        task: JoinHandle<()>,
    }

    fn start(failures: Vec<StoreError>) -> Running {
        let table = Arc::new(Table {
            failures: Mutex::new(failures),
            ..Table::default()
        });
        let health = Arc::<DatabaseHealth>::default();
        let writer = Writer {
            gateway: Uuid::nil(),
            bus: Bus::new(),
            health: health.clone(),
            counters: RequestCounters::default(),
            clients: ClientTracker::default(),
        };
        let (records, received) = mpsc::channel(QUEUED_RECORDS);
        let (close, closed) = oneshot::channel();
        let shared = table.clone();
        let insert = move |rows: Vec<Request>| {
            let result = shared.insert(&rows);
            async move { (result, rows) }
        };
        let task = tokio::spawn(writer.run(received, closed, insert));
        Running {
            table,
            health,
            records,
            close,
            task,
        }
    }

    impl Running {
        async fn close(self) -> Vec<Vec<String>> {
            self.close.send(()).unwrap();
            self.task.await.unwrap();
            let rows = self.table.rows.lock().unwrap();
            rows.clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_written_in_batches() {
        let running = start(Vec::new());
        for index in 0..=BATCH_ROWS {
            let record = record(&index.to_string());
            running.records.send(record).await.unwrap();
        }
        sleep(BATCH_TIME * 2).await;
        running.records.send(record("last")).await.unwrap();
        let batches = running.close().await;
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [BATCH_ROWS, 1, 1]);
        assert_eq!(batches[2], ["last"]);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_are_kept_while_the_database_fails() {
        let failure = || StoreError::Database("database or disk is full".to_owned());
        let running = start(vec![failure(), failure()]);
        running.records.send(record("a")).await.unwrap();
        sleep(BATCH_TIME + RETRY_TIME / 2).await;
        assert!(running.health.fails());
        sleep(RETRY_TIME * 2).await;
        assert!(!running.health.fails());
        assert_eq!(running.health.lost_rows(), 0);
        assert_eq!(running.close().await, [["a"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_are_never_accepted_are_counted_and_do_not_block_others() {
        let failure = StoreError::Invalid {
            field: "duration_ms",
            reason: "too large".to_owned(),
        };
        let running = start(vec![failure]);
        running.records.send(record("a")).await.unwrap();
        sleep(BATCH_TIME * 2).await;
        assert_eq!(running.health.lost_rows(), 1);
        running.records.send(record("b")).await.unwrap();
        assert_eq!(running.close().await, [["b"]]);
    }

    #[test]
    fn row_has_the_counts_of_the_worker() {
        let row = row(&record("req_1"), Uuid::nil());
        let usage = TokenUsage {
            prompt_tokens: 3,
            cached_tokens: 1,
            completion_tokens: 2,
        };
        assert_eq!(row.usage, Some(usage));
        assert_eq!(
            (row.queue_ms, row.time_to_first_token_ms),
            (Some(1), Some(38))
        );
        assert_eq!((row.at_ms, row.duration_ms), (5, 70));
        assert_eq!(row.finish_reason.as_deref(), Some("stop"));
        assert_eq!(row.served_by.as_deref(), Some("local"));
    }
}
