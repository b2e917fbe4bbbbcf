//! A hub, an empty machine, and a recorder of progress.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use mlxm_hub::{
    CancellationToken, Hub, HubConfig, HubError, ProgressHandler, PullEvent, PullRequest,
    PulledModel,
};
use mlxm_testhub::{TestHub, TestRepo};
use tempfile::TempDir;

pub const REPO: &str = "org/tiny-4bit";
pub const WEIGHTS: &str = "model.safetensors";

/// A test hub and an empty home directory.
pub struct TestEnv {
    pub server: TestHub,
    pub home: TempDir,
}

impl TestEnv {
    pub fn new() -> Self {
        Self {
            server: TestHub::start(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// With [`REPO`] on the server and weights of `weights_bytes`.
    pub fn with_model(weights_bytes: usize) -> Self {
        let env = Self::new();
        env.server.add(model(REPO, weights_bytes));
        env
    }

    pub fn config(&self) -> HubConfig {
        config(self.server.endpoint(), self.home.path())
    }

    pub fn hub(&self) -> Hub {
        Hub::new(self.config()).unwrap()
    }

    pub fn repo_folder(&self) -> PathBuf {
        self.config().cache_dir.join("models--org--tiny-4bit")
    }

    /// All partial files.
    pub fn partials(&self) -> Vec<PathBuf> {
        let mut partials = files_below(&self.repo_folder().join("blobs"));
        partials.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "incomplete")
        });
        partials
    }

    /// The partial file of the weights, recognized by the length of a SHA-256 digest.
    pub fn partial(&self) -> Option<PathBuf> {
        self.partials()
            .into_iter()
            .find(|path| path.file_stem().is_some_and(|stem| stem.len() == 64))
    }
}

pub fn config(endpoint: &str, home: &Path) -> HubConfig {
    let mut config = HubConfig::new(home.join("hub"), home.join("models"));
    config.endpoint = Some(endpoint.to_owned());
    config.connect_timeout = Duration::from_secs(5);
    config.read_timeout = Duration::from_secs(20);
    config.retry.initial_backoff = Duration::from_millis(1);
    config.retry.max_backoff = Duration::from_secs(3);
    config
}

pub fn model(repo: &str, weights_bytes: usize) -> TestRepo {
    TestRepo::new(repo)
        .file("config.json", r#"{"model_type":"llama"}"#)
        .file("tokenizer.json", r#"{"version":"1.0"}"#)
        .file("README.md", "# Tiny")
        .large_file(WEIGHTS, weights(weights_bytes))
}

/// Pseudo-random bytes, so that data at a wrong position is detected.
pub fn weights(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

pub fn request() -> PullRequest {
    PullRequest::new(REPO.parse().unwrap())
}

pub async fn pull(hub: &Hub) -> Result<PulledModel, HubError> {
    hub.pull(
        &request(),
        &EventRecorder::default(),
        &CancellationToken::new(),
    )
    .await
}

/// Asserts that a snapshot contains the files of [`model`].
pub fn assert_complete(snapshot: &Path, weights_bytes: usize) {
    assert_eq!(
        fs::read_to_string(snapshot.join("config.json")).unwrap(),
        r#"{"model_type":"llama"}"#
    );
    assert_eq!(
        fs::read_to_string(snapshot.join("tokenizer.json")).unwrap(),
        r#"{"version":"1.0"}"#
    );
    assert!(
        fs::read(snapshot.join(WEIGHTS)).unwrap() == weights(weights_bytes),
        "the weights differ"
    );
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

/// Records all events.
#[derive(Default)]
pub struct EventRecorder(Mutex<Vec<PullEvent>>);

impl EventRecorder {
    pub fn events(&self) -> Vec<PullEvent> {
        self.0.lock().unwrap().clone()
    }

    /// The reasons of all retries.
    pub fn retries(&self) -> Vec<String> {
        let reason = |event| match event {
            PullEvent::Retrying { reason, .. } => Some(reason),
            _ => None,
        };
        self.events().into_iter().filter_map(reason).collect()
    }

    /// Start position of each transfer of a file.
    pub fn starts(&self, wanted: &str) -> Vec<u64> {
        let start = |event| match event {
            PullEvent::Started {
                file,
                position_bytes,
                ..
            } if file == wanted => Some(position_bytes),
            _ => None,
        };
        self.events().into_iter().filter_map(start).collect()
    }
}

impl ProgressHandler for EventRecorder {
    fn on_event(&self, event: &PullEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}
