//! Scripts, servers and stores.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mlxm_gateway::{
    AcquireError, AcquireRequest, Class, LaunchConfig, Lease, LoadSettings, Pool, PoolOptions,
    ServerEvent, ServerRecord, ServerStore, StoreError, Target, Timings, Ttl, UserId, WorkerKeys,
};
use tempfile::TempDir;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Far longer than any step; only reached if the pool hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The output of `mlxm show --json`: a model of 4 bytes.
pub const SHOW: &str = r#"echo '{"memory":{"cache_sizes":[{"context_length":8,"kv_pool_tokens":8,"total_bytes":4}],
"largest_context_in_budget":9}}'"#;

/// The secret of the gateway.
pub const SECRET: &[u8] = &[7; 32];

/// Compute threads of a worker that computes alone.
pub const COMPUTE_THREADS: usize = 3;

/// Keeps running until it is killed.
pub const RUN: &str = "sleep 60 & wait";

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<Uuid, ServerRecord>>>);

impl MemoryStore {
    pub fn records(&self) -> Vec<ServerRecord> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

impl ServerStore for MemoryStore {
    async fn list(&self) -> Result<Vec<ServerRecord>, StoreError> {
        Ok(self.records())
    }

    async fn save(&self, record: &ServerRecord) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert(record.id, record.clone());
        Ok(())
    }

    async fn remove(&self, id: Uuid) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(&id);
        Ok(())
    }
}

/// The HTTP server of the workers.
pub struct Backend {
    pub port: u16,
    pub state: Arc<BackendState>,
}

#[derive(Debug, Default)]
pub struct BackendState {
    /// Requests are closed without a response.
    pub silent: AtomicBool,
    /// A new owner is rejected.
    pub rejects_owner: AtomicBool,
    pub running: AtomicU64,
    /// Another number of threads is rejected.
    pub rejects_threads: AtomicBool,
    /// Authorization and body of each request for another number of threads.
    pub threads: Mutex<Vec<(String, String)>>,
    /// Authorization and body of each request for a new owner.
    pub owners: Mutex<Vec<(String, String)>>,
}

impl Backend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(BackendState::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // The client may give up at any time.
                let _ = respond(&shared, &stream.unwrap());
            }
        });
        Self { port, state }
    }
}

fn respond(state: &BackendState, mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let header = |name: &str| {
        let mut lines = head.lines();
        let line = lines.find(|line| line.to_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": "))
            .map_or("", |(_, value)| value)
    };
    let length: usize = header("content-length:").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if state.silent.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut status = "200 OK";
    let mut text = String::new();
    if head.starts_with("POST /internal/owner ") {
        if state.rejects_owner.load(Ordering::SeqCst) {
            status = "401 Unauthorized";
        }
        let body = String::from_utf8(body).unwrap();
        let key = header("authorization:").to_owned();
        state.owners.lock().unwrap().push((key, body));
    } else if head.starts_with("POST /internal/threads ") {
        if state.rejects_threads.load(Ordering::SeqCst) {
            status = "500 Internal Server Error";
        }
        let body = String::from_utf8(body).unwrap();
        let key = header("authorization:").to_owned();
        state.threads.lock().unwrap().push((key, body));
    } else if head.starts_with("GET /health ") {
        let running = state.running.load(Ordering::SeqCst);
        text = format!(
            "{{\"status\":\"ready\",\"running\":{running},\"steps\":1,\"longest_step_ms\":0}}"
        );
    } else {
        status = "404 Not Found";
    }
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

/// A directory with a program, a model and logs.
pub struct Setup {
    pub folder: TempDir,
    pub backend: Backend,
    pub store: MemoryStore,
    pub timings: Timings,
    pub budget_bytes: u64,
}

impl Setup {
    /// The program runs `show` or `serve`, which are shell commands; `$PORT` is the port of the HTTP server.
    pub fn new(show: &str, serve: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::start();
        for model in ["a", "b"] {
            fs::create_dir_all(folder.path().join(model)).unwrap();
            fs::write(folder.path().join(model).join("config.json"), "{}").unwrap();
        }
        let script = format!(
            "#!/bin/sh\nFOLDER={}\nPORT={}\nif [ \"$1\" = show ]; then\n{show}\nelse\n{serve}\nfi\n",
            folder.path().display(),
            backend.port
        );
        let program = folder.path().join("program");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let timings = Timings {
            health_interval: Duration::from_millis(20),
            stop_timeout: Duration::from_secs(5),
            ..Timings::default()
        };
        Self {
            folder,
            backend,
            store: MemoryStore::default(),
            timings,
            budget_bytes: 6,
        }
    }

    /// A worker that gets ready at once.
    pub fn ready() -> Self {
        Self::new(SHOW, &ready())
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub async fn pool(&self) -> Pool {
        let options = PoolOptions {
            budget_bytes: self.budget_bytes,
            max_waiting: 16,
            drain_after: Duration::from_secs(30),
            compute_threads: COMPUTE_THREADS,
            launch: LaunchConfig {
                program: self.path().join("program"),
                environment: Vec::new(),
                log_directory: self.path().join("logs"),
                keys: WorkerKeys::new(SECRET).unwrap(),
                orphan_grace: Duration::from_mins(1),
                timings: self.timings,
            },
        };
        Pool::start(options, self.store.clone()).await.unwrap()
    }

    pub fn target(&self, model: &str) -> Target {
        Target {
            name: model.to_owned(),
            settings: Arc::new(LoadSettings::new(self.path().join(model))),
            ttl: Ttl::Keep,
        }
    }

    pub fn request(&self, model: &str) -> AcquireRequest {
        AcquireRequest {
            target: self.target(model),
            user: UserId(Uuid::nil()),
            class: Class::Normal,
            queue_timeout: TIMEOUT,
        }
    }

    pub async fn acquire(&self, pool: &Pool, model: &str) -> Result<Lease, AcquireError> {
        tokio::time::timeout(TIMEOUT, pool.acquire(self.request(model)))
            .await
            .unwrap()
    }
}

/// Commands of a worker that gets ready at once.
pub fn ready() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "echo '{{\"event\":\"loading\",\"loaded_bytes\":1,\"total_bytes\":2}}'\n\
        echo \"{{\\\"event\\\":\\\"ready\\\",\\\"port\\\":$PORT,\\\"pid\\\":$$,\\\"version\\\":\\\"{version}\\\"}}\"\n{RUN}"
    )
}

/// The first event for which `select` returns a value.
pub async fn wait_for<T>(
    events: &mut broadcast::Receiver<ServerEvent>,
    select: impl Fn(&ServerEvent) -> Option<T>,
) -> T {
    let selected = async {
        loop {
            let event = events.recv().await.unwrap();
            if let Some(value) = select(&event) {
                return value;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, selected).await.unwrap()
}
