//! A local test server and helpers to send requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mlxm_api::{AccessPolicy, AppState, FormatOverride, Owner, ServerOptions, Shutdown, serve};
use mlxm_chat::parsing::ReasoningFormat;
use mlxm_engine::{Engine, LoadOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// Directory of the engine's test checkpoint `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(name)
}

/// A copy of a checkpoint with another context length. The quality of its output does not matter here.
pub fn with_context_length(name: &str, context_length: usize) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in std::fs::read_dir(golden(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let config = copy.path().join("config.json");
    let mut fields: Value =
        serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    fields["max_position_embeddings"] = context_length.into();
    std::fs::write(config, fields.to_string()).unwrap();
    copy
}

/// Load options with one thread, because tests run in parallel.
pub fn load_options() -> LoadOptions {
    LoadOptions {
        threads: Some(1),
        max_sequences: 4,
        ..LoadOptions::default()
    }
}

/// Server options with the model name `tiny`.
pub fn server_options() -> ServerOptions {
    ServerOptions {
        model: "tiny".to_owned(),
        ..ServerOptions::default()
    }
}

/// A running server.
pub struct TestServer {
    pub url: String,
    pub engine: Engine,
    pub shutdown: Shutdown,
    pub serving: JoinHandle<std::io::Result<bool>>,
    client: reqwest::Client,
}

/// Serves the default checkpoint with default options.
pub async fn start() -> TestServer {
    start_with("llama-4bit", &load_options(), server_options()).await
}

/// Serves the test checkpoint `name`.
pub async fn start_with(name: &str, load: &LoadOptions, options: ServerOptions) -> TestServer {
    serve_directory(&golden(name), load, options).await
}

/// Serves the checkpoint in a directory.
pub async fn serve_directory(
    directory: &Path,
    load: &LoadOptions,
    options: ServerOptions,
) -> TestServer {
    serve_with(directory, load, AppState::starting(options)).await
}

/// Serves the checkpoint in a directory with this state.
pub async fn serve_with(directory: &Path, load: &LoadOptions, server: AppState) -> TestServer {
    let engine = Engine::load(directory, load).unwrap();
    server.ready(engine.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = Shutdown::default();
    let serving = tokio::spawn(serve(
        listener,
        server,
        shutdown.clone(),
        Duration::from_secs(20),
    ));
    TestServer {
        url,
        engine,
        shutdown,
        serving,
        client: reqwest::Client::new(),
    }
}

/// Serves the default checkpoint with a context that is long enough for tool definitions.
pub async fn start_with_long_context() -> TestServer {
    let directory = with_context_length("llama-4bit", 2048);
    serve_directory(directory.path(), &load_options(), server_options()).await
}

/// Serves the default checkpoint with a chat template that starts the reasoning.
pub async fn start_reasoning() -> TestServer {
    let directory = with_context_length("llama-4bit", 256);
    let template = directory.path().join("chat_template.jinja");
    let source = std::fs::read_to_string(&template).unwrap();
    let with_reasoning = source.replace("assistant\\n'", "assistant\\n<think>\\n'");
    assert_ne!(source, with_reasoning);
    std::fs::write(&template, with_reasoning).unwrap();
    let options = ServerOptions {
        format: FormatOverride {
            reasoning: Some(Some(ReasoningFormat::Think)),
            ..FormatOverride::default()
        },
        ..server_options()
    };
    serve_directory(directory.path(), &load_options(), options).await
}

impl TestServer {
    /// A POST request to a route.
    pub fn request(&self, route: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{route}", self.url)).json(body)
    }

    /// Status and body of the response to a POST request.
    pub async fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let response = self.request(route, body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// The body of the response to a POST request, which must succeed.
    pub async fn ok(&self, route: &str, body: &Value) -> Value {
        let (status, body) = self.post(route, body).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Status and message of the error response to a POST request.
    pub async fn error(&self, route: &str, body: &Value) -> (u16, String) {
        let (status, body) = self.post(route, body).await;
        assert!(status >= 400, "{body}");
        (
            status,
            body["error"]["message"].as_str().unwrap().to_owned(),
        )
    }

    /// The events of a streamed response: name and data.
    pub async fn events(&self, route: &str, body: &Value) -> Vec<(String, Value)> {
        let response = self.request(route, body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        events(&response.text().await.unwrap())
    }

    /// Status and body of the response to a GET request.
    pub async fn get(&self, route: &str) -> (u16, String) {
        let response = self
            .client
            .get(format!("{}{route}", self.url))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric; labels are part of the name.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.get("/metrics").await.1, name)
    }

    /// Waits until this many requests are running or queued.
    pub async fn wait_for_requests(&self, requests: usize) {
        loop {
            let stats = self.engine.stats();
            if stats.requests_running + stats.requests_waiting == requests {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a metric is at least `value`.
    pub async fn wait_for_metric(&self, name: &str, value: f64) {
        wait_for(async || (self.metric(name).await >= value).then_some(())).await;
    }
}

/// The value of a metric in the text of `/metrics`.
pub fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

/// Parses a stream of server-sent events; `[DONE]` becomes a string.
pub fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    let parsed = blocks.map(|block| {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
        };
        let data = serde_json::from_str(field("data:")).unwrap_or_else(|_| field("data:").into());
        (field("event:").to_owned(), data)
    });
    parsed.collect()
}

/// A chat completion request with one message.
pub fn chat(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The content of a chat completion.
pub fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap()
}

/// The API key of a server with an owner.
pub const KEY: &str = "secret";

/// Options of a server that this process owns.
pub fn owned_options() -> ServerOptions {
    ServerOptions {
        access: AccessPolicy {
            api_key: Some(KEY.to_owned()),
            ..AccessPolicy::default()
        },
        owner: Some(Owner::new(std::process::id())),
        ..server_options()
    }
}

/// Serves the default checkpoint to its owner.
pub async fn start_owned() -> TestServer {
    start_with("llama-4bit", &load_options(), owned_options()).await
}
