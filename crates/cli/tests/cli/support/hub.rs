//! A hub with a small checkpoint, and an environment whose commands use it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mlxm_testhub::{TestHub, TestRepo};

use super::gateway::Gateway;
use super::{Checkpoint, Outcome, TestEnv};

/// The repository of the checkpoint.
pub const REPO: &str = "owner/Tiny-Model";
/// Its large file.
pub const WEIGHTS: &str = "model.safetensors";

pub struct HubFixture {
    pub hub: TestHub,
    pub env: TestEnv,
}

impl HubFixture {
    pub fn new() -> Self {
        let fixture = Self {
            hub: TestHub::start(),
            env: TestEnv::new(),
        };
        fixture.hub.add(fixture.repo(TestRepo::new(REPO)));
        fixture
    }

    /// Slow enough for a test to act during the download.
    pub fn slow() -> Self {
        let fixture = Self::new();
        fixture.hub.throttle(4 << 10, Duration::from_millis(50));
        fixture
    }

    /// Adds the files of a small checkpoint to a repository.
    pub fn repo(&self, mut repo: TestRepo) -> TestRepo {
        let folder = self.env.path().join("served");
        Checkpoint::saying(&["O", "k"]).write(&folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let content = std::fs::read(&path).unwrap();
            repo = if name == WEIGHTS {
                repo.large_file(&name, content)
            } else {
                repo.file(&name, content)
            };
        }
        repo.file("README.md", "# Tiny")
    }

    /// A command that uses the hub.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.env.online(arguments);
        command.env("HF_ENDPOINT", self.hub.endpoint());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// A gateway that uses the hub.
    pub fn gateway(&self) -> Gateway<'_> {
        let variables = [
            ("HF_ENDPOINT", self.hub.endpoint()),
            ("HF_HUB_OFFLINE", "0"),
        ];
        Gateway::start_with(&self.env, &variables)
    }

    /// The state of the gateway's only download.
    pub fn state(&self) -> String {
        let downloads = self.run(&["downloads", "list", "--all", "--json"]).json();
        downloads[0]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The directory of the only downloaded revision.
    pub fn snapshot(&self) -> PathBuf {
        let snapshots = self.env.cache().join("models--owner--Tiny-Model/snapshots");
        std::fs::read_dir(snapshots)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }
}
