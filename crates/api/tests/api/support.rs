//! What the tests share: a server on this machine, and ways to ask it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mlxm_api::{AppState, FormatOverride, ServerOptions, Shutdown, serve};
use mlxm_chat::parsing::ReasoningFormat;
use mlxm_engine::{Engine, LoadOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The engine's committed checkpoint called `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(name)
}

/// A copy of a checkpoint that takes longer texts; what it says about them is of no concern here.
pub fn stretched(name: &str, context_length: usize) -> TempDir {
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

/// One thread, so that tests that run side by side do not fight for the cores.
pub fn load_options() -> LoadOptions {
    LoadOptions {
        threads: Some(1),
        max_sequences: 4,
        ..LoadOptions::default()
    }
}

/// The model is called `tiny`.
pub fn server_options() -> ServerOptions {
    ServerOptions {
        model: "tiny".to_owned(),
        ..ServerOptions::default()
    }
}

/// A running server.
pub struct Running {
    pub url: String,
    pub engine: Engine,
    pub shutdown: Shutdown,
    pub serving: JoinHandle<std::io::Result<bool>>,
    client: reqwest::Client,
}

/// Serves the usual checkpoint with the usual options.
pub async fn start() -> Running {
    start_with("llama-4bit", &load_options(), server_options()).await
}

/// Serves a checkpoint.
pub async fn start_with(name: &str, load: &LoadOptions, options: ServerOptions) -> Running {
    serve_folder(&golden(name), load, options).await
}

/// Serves the checkpoint in a folder.
pub async fn serve_folder(folder: &Path, load: &LoadOptions, options: ServerOptions) -> Running {
    serve_with(folder, load, AppState::starting(options)).await
}

/// Serves the checkpoint in a folder with a server that waits for it.
pub async fn serve_with(folder: &Path, load: &LoadOptions, server: AppState) -> Running {
    let engine = Engine::load(folder, load).unwrap();
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
    Running {
        url,
        engine,
        shutdown,
        serving,
        client: reqwest::Client::new(),
    }
}

/// Serves the usual checkpoint with a template that opens the model's reasoning, as some do.
pub async fn start_thinking() -> Running {
    let folder = stretched("llama-4bit", 256);
    let template = folder.path().join("chat_template.jinja");
    let source = std::fs::read_to_string(&template).unwrap();
    let opened = source.replace("assistant\\n'", "assistant\\n<think>\\n'");
    assert_ne!(source, opened);
    std::fs::write(&template, opened).unwrap();
    let options = ServerOptions {
        format: FormatOverride {
            reasoning: Some(Some(ReasoningFormat::Think)),
            ..FormatOverride::default()
        },
        ..server_options()
    };
    serve_folder(folder.path(), &load_options(), options).await
}

impl Running {
    /// A request to a route.
    pub fn request(&self, route: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{route}", self.url)).json(body)
    }

    /// Status and body of an answer.
    pub async fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let response = self.request(route, body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// The body of an answer that has to succeed.
    pub async fn ok(&self, route: &str, body: &Value) -> Value {
        let (status, body) = self.post(route, body).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Status and message of an answer that has to fail.
    pub async fn refused(&self, route: &str, body: &Value) -> (u16, String) {
        let (status, body) = self.post(route, body).await;
        assert!(status >= 400, "{body}");
        (
            status,
            body["error"]["message"].as_str().unwrap().to_owned(),
        )
    }

    /// The events of a stream: name and data.
    pub async fn events(&self, route: &str, body: &Value) -> Vec<(String, Value)> {
        let response = self.request(route, body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        events(&response.text().await.unwrap())
    }

    /// The body of a `GET`.
    pub async fn get(&self, route: &str) -> (u16, String) {
        let response = self
            .client
            .get(format!("{}{route}", self.url))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a line of `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.get("/metrics").await.1, name)
    }

    /// Waits until the engine holds so many requests.
    pub async fn until_inside(&self, requests: usize) {
        loop {
            let report = self.engine.stats();
            if report.requests_running + report.requests_waiting == requests {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a line of `/metrics` has a value.
    pub async fn until(&self, name: &str, value: f64) {
        while self.metric(name).await < value {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The value of a line of the text of `/metrics`, all of which is of one moment.
pub fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

/// Takes a stream apart; `[DONE]` is a string.
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

/// A chat with one message.
pub fn chat(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The text of a chat's answer.
pub fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap()
}
