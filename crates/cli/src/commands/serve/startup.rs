//! What `mlxm serve --json` prints until it serves: one JSON object per line. `docs/worker.md` describes them.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mlxm_api::Capabilities;
use mlxm_engine::{LoadError, LoadProgress, MemoryPlan};
use serde_json::json;

use crate::failure::{self, Failure};
use crate::memory_report::MemoryReport;
use crate::output::{Format, Output};

/// Shortest time between two `loading` lines.
const LOADING_INTERVAL: Duration = Duration::from_millis(250);

/// What the server is doing before it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading options.
    Options,
    /// Looking for the model.
    Model,
    /// Opening the port.
    Address,
    /// Loading the model.
    Load,
    /// Starting a gateway.
    Gateway,
    /// Serving: nothing is printed any more.
    Ready,
}

impl Stage {
    /// The `code` of an error that is no error of the engine.
    fn code(self) -> &'static str {
        match self {
            Self::Options => "invalid_option",
            Self::Model => "model_not_found",
            Self::Address => "cannot_listen",
            Self::Gateway => "cannot_start",
            Self::Load | Self::Ready => "internal",
        }
    }
}

/// A server that accepts requests.
pub struct Ready<'a> {
    /// The base URL.
    pub url: &'a str,
    /// The port.
    pub port: u16,
    /// The name of the model.
    pub model: &'a str,
    /// What the model supports.
    pub capabilities: Option<Capabilities>,
    /// The memory of the model.
    pub plan: &'a MemoryPlan,
}

/// Prints the start of a server.
#[derive(Debug)]
pub struct Startup {
    output: Output,
    stage: Cell<Stage>,
    last_loading: Cell<Option<Instant>>,
}

impl Startup {
    /// Prints to `output`.
    pub fn new(output: &Output) -> Self {
        Self {
            output: output.clone(),
            stage: Cell::new(Stage::Options),
            last_loading: Cell::new(None),
        }
    }

    /// Starts a stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// Prints the progress of the load, at most four times a second.
    pub fn loading(&self, progress: LoadProgress) {
        let now = Instant::now();
        let printed = self.last_loading.get();
        if !self.is_json() || printed.is_some_and(|last| now - last < LOADING_INTERVAL) {
            return;
        }
        self.last_loading.set(Some(now));
        // Fails if the process that started the server is gone, which may have another owner by then.
        let _ = self.output.json_line(&json!({
            "event": "loading",
            "loaded_bytes": progress.loaded_bytes,
            "total_bytes": progress.total_bytes,
        }));
    }

    /// Prints that the server accepts requests.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn ready(&self, ready: &Ready<'_>) -> io::Result<()> {
        self.enter(Stage::Ready);
        if !self.is_json() {
            let Ready { url, model, .. } = ready;
            self.output
                .note(&format!("serving {model} at {url} (press Ctrl-C to stop)"));
            return Ok(());
        }
        self.output.json_line(&json!({
            "event": "ready",
            "url": ready.url,
            "port": ready.port,
            "model": ready.model,
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "context_length": ready.plan.context_length,
            "capabilities": ready.capabilities,
            "plan": MemoryReport::from(ready.plan),
        }))
    }

    /// Prints that a gateway accepts requests for this number of models.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn gateway_ready(&self, address: SocketAddr, models: usize) -> io::Result<()> {
        self.enter(Stage::Ready);
        let url = format!("http://{address}");
        if self.is_json() {
            return self.output.json_line(&json!({
                "event": "ready",
                "url": url,
                "port": address.port(),
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "models": models,
            }));
        }
        let served = match models {
            0 => "no models yet (find one with `mlxm search`, download it with `mlxm pull`)"
                .to_owned(),
            1 => "1 model".to_owned(),
            _ => format!("{models} models"),
        };
        self.output
            .note(&format!("serving {served} at {url} (press Ctrl-C to stop)"));
        Ok(())
    }

    /// Prints why the server could not be started.
    pub fn failed(&self, error: &anyhow::Error) {
        let stage = self.stage.get();
        if !self.is_json() || stage == Stage::Ready {
            return;
        }
        let load_error = error.downcast_ref::<LoadError>();
        let code = load_error.map_or(stage.code(), LoadError::code);
        let (message, advice) =
            if let Some(Failure::WithHint { message, hint }) = error.downcast_ref::<Failure>() {
                (message.clone(), hint.as_str())
            } else {
                let message = failure::describe(error).1;
                (message.unwrap_or_default(), advice(code))
            };
        // The error is also printed on stderr.
        let _ = self.output.json_line(&json!({
            "event": "failed",
            "code": code,
            "message": message,
            "advice": advice,
        }));
    }

    fn is_json(&self) -> bool {
        self.output.format() == Format::Json
    }
}

/// What to do about an error with this code.
fn advice(code: &str) -> &'static str {
    match code {
        "model_not_found" | "not_a_model" => {
            "choose a model of `mlxm list`, or download one with `mlxm pull`"
        }
        "corrupt_weights" | "invalid_config" | "invalid_tokenizer" | "missing_tensors"
        | "unknown_tensors" | "invalid_tensor" => {
            "download the model again with `mlxm pull`, or choose another one"
        }
        "unsupported_architecture" | "unsupported_quantization" => {
            "choose a model with another architecture or quantization, or update mlxm"
        }
        "does_not_fit" => {
            "choose a smaller --context-length or --kv-pool-tokens, a larger --memory, or a model with fewer bits"
        }
        "invalid_option" | "unsupported_device" => "see `mlxm serve --help`",
        "io" => "check the disk and the permissions of the model's files",
        _ => "see the log of the server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_engine_have_specific_advice() {
        for error in [
            LoadError::Memory(String::new()),
            LoadError::InvalidOption(String::new()),
            LoadError::UnsupportedQuantization(String::new()),
            LoadError::NotFound("x".into()),
        ] {
            assert_ne!(advice(error.code()), advice("internal"), "{error:?}");
        }
    }
}
