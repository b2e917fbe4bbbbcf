//! Isolated environments, processes and small checkpoints.

pub mod checkpoint;
pub mod gateway;
pub mod hub;
pub mod server;
pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub use checkpoint::Checkpoint;

/// A temporary home directory, isolated from models, tokens and settings of this machine.
pub struct TestEnv {
    folder: TempDir,
}

impl TestEnv {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The local models directory.
    pub fn models(&self) -> PathBuf {
        self.path().join("mlxm/models")
    }

    /// The Hugging Face cache.
    pub fn cache(&self) -> PathBuf {
        self.path().join("hf/hub")
    }

    pub fn environment(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("MLXM_HOME", self.path().join("mlxm"))
            .env("HF_HOME", self.path().join("hf"))
            // Of a gateway that a command starts in the background.
            .env("MLXM_SERVER_PORT", "0")
            .current_dir(self.path());
    }

    /// The command with these arguments, offline and without standard input.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.online(arguments);
        command.env("HF_HUB_OFFLINE", "1");
        command
    }

    /// Like [`Self::command`], but online.
    pub fn online(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mlxm"));
        self.environment(&mut command);
        command.args(arguments).stdin(std::process::Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Writes a checkpoint to `models/NAME`.
    pub fn local_model(&self, name: &str, checkpoint: &Checkpoint) -> PathBuf {
        let folder = self.models().join(name);
        checkpoint.write(&folder);
        folder
    }
}

/// Exit code and output of a process.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Fails the test unless the process succeeded; returns stdout.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Fails the test unless the process failed with exit code 1, one error line and all of these words.
    #[track_caller]
    pub fn failure(&self, words: &[&str]) {
        self.failure_with(1, words);
    }

    #[track_caller]
    pub fn failure_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:#?}");
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.success()).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The converted starter model.
#[track_caller]
pub fn starter_model() -> PathBuf {
    let Some(path) = std::env::var_os("MLXM_STARTER_MODEL").map(PathBuf::from) else {
        panic!("MLXM_STARTER_MODEL is not set: run `cargo xtask test --only rust`");
    };
    assert!(
        path.join("config.json").is_file(),
        "no model in {}: run `cargo xtask test --only starter`",
        path.display()
    );
    path
}
