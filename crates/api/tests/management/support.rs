//! A running gateway with models of a few hundred bytes, whose servers are shell scripts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mlxm_api::Shutdown;
use mlxm_api::gateway::{self, GatewayOptions, GatewayState};
use mlxm_hub::HubConfig;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::wait::wait_for;
use crate::worker::start_worker;

/// The memory budget in bytes.
pub const BUDGET: u64 = 1000;

/// The models with the bytes that they need. The last has invalid files.
const MODELS: [(&str, u64); 5] = [
    ("org/small", 400),
    ("org/other", 400),
    ("org/medium", 700),
    ("org/huge", 5000),
    ("org/broken", 0),
];

/// Far longer than any step; only reached if the gateway hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running gateway.
pub struct TestGateway {
    pub url: String,
    pub state: GatewayState,
    client: reqwest::Client,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    health_checks: Arc<AtomicUsize>,
    folder: TempDir,
}

impl TestGateway {
    /// With a memory budget of [`BUDGET`].
    pub async fn start() -> Self {
        Self::start_with(&[("pool.memory_budget_bytes", BUDGET.to_string())]).await
    }

    /// With these settings as flags.
    pub async fn start_with(flags: &[(&'static str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        for (name, bytes) in MODELS {
            write_model(&home.join("models").join(name), bytes);
        }
        let program = home.join("program");
        let health_checks = Arc::<AtomicUsize>::default();
        let worker = start_worker(health_checks.clone()).await;
        fs::write(&program, script(worker)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut flags: BTreeMap<_, _> = flags.iter().cloned().collect();
        flags.insert("server.port", "0".to_owned());
        let options = GatewayOptions {
            home: home.to_owned(),
            database_url: None,
            program,
            hub: HubConfig {
                offline: true,
                ..HubConfig::new(home.join("hub"), home.join("models"))
            },
            api_key: None,
            owner_key: gateway::random_key(),
            flags,
            environment: BTreeMap::new(),
            keep_workers: false,
        };
        let gateway = gateway::start(options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let state = gateway.state().clone();
        let shutdown = Shutdown::default();
        let serving = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                gateway.serve(shutdown).await;
            })
        };
        Self {
            url: format!("http://{}", state.address()),
            state,
            client: reqwest::Client::new(),
            shutdown,
            serving,
            health_checks,
            folder,
        }
    }

    /// Health checks of all servers so far.
    pub fn health_checks(&self) -> usize {
        self.health_checks.load(Ordering::SeqCst)
    }

    /// Stops the servers, too.
    pub async fn stop(self) {
        self.shutdown.start();
        tokio::time::timeout(TIMEOUT, self.serving)
            .await
            .unwrap()
            .unwrap();
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Changes the database as another program would.
    pub async fn sql(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.home().join("mlxm.db"));
        let mut connection = options.connect().await.unwrap();
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        response(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        response(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, body).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        response(self.request(method, path).json(&body)).await
    }

    /// Repeats a request until `accept` returns a value.
    pub async fn wait_for<T>(&self, path: &str, accept: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(async || accept(&self.get(path).await.1)).await
    }
}

/// The status, and the body: null if it is empty.
pub async fn response(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    (status, body)
}

/// Status and code of a problem, and the fields that it names.
pub fn problem((status, body): &(u16, Value)) -> (u16, &str, Vec<&str>) {
    assert_eq!(body["status"], *status, "{body}");
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty()),
        "{body}"
    );
    let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = errors.iter().map(|error| error["field"].as_str().unwrap());
    (*status, body["code"].as_str().unwrap(), fields.collect())
}

/// Writes a model that needs `bytes`; the files of one that needs none are invalid.
pub fn write_model(directory: &Path, bytes: u64) {
    fs::create_dir_all(directory).unwrap();
    let size = json!({"context_length": 64, "kv_pool_tokens": 64, "total_bytes": bytes});
    let show = json!({"memory": {
        "cache_sizes": [size], "largest_context_in_budget": 16, "weights_bytes": bytes / 2, "scratch_bytes": bytes / 10,
    }});
    let show = if bytes == 0 {
        String::new()
    } else {
        show.to_string()
    };
    for (name, content) in [
        ("config.json", r#"{"model_type": "llama"}"#),
        ("tokenizer.json", "{}"),
        ("model.safetensors", "x"),
        ("show", &show),
    ] {
        fs::write(directory.join(name), content).unwrap();
    }
}

/// The program describes a model by the file `show` in its directory, and serves it on the port of [`start_worker`].
fn script(port: u16) -> String {
    let ready = format!(
        r#"{{\"event\":\"ready\",\"port\":{port},\"pid\":$$,\"version\":\"0.1.0\",\"capabilities\":{{\"chat\":true}}}}"#
    );
    format!(
        "#!/bin/sh\nif [ \"$1\" = show ]; then\nfor last; do :; done\n\
         if [ ! -s \"$last/show\" ]; then echo 'error: no tensor lm_head' >&2; exit 1; fi\ncat \"$last/show\"\n\
         else\necho \"{ready}\"\nsleep 60 & wait\nfi\n"
    )
}
