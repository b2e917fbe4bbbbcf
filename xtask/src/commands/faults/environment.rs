//! What all scenarios need: the program, the starter model, and home directories whose processes do not outlive them.

use super::FULL_SECONDS;
use crate::gateway::{self, Gateway};
use crate::interrupt::wait_for;
use crate::{process, starter};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The name of the starter model in requests.
pub const STARTER: &str = starter::NAME;

/// Time for a gateway that cannot be started to exit.
const EXIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for killed or stopped processes to be gone.
const GONE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the scenarios work with.
pub struct Environment {
    pub mlxm: PathBuf,
    /// The starter model, in a directory of this name.
    pub model: PathBuf,
    /// How long the scenario `load` puts load on the gateway.
    pub load: Duration,
}

impl Environment {
    /// Whether the scenarios run as a step of the tests. They have limits on times only otherwise.
    pub fn is_test(&self) -> bool {
        self.load < Duration::from_secs(FULL_SECONDS)
    }
}

/// A home directory of gateways. When the value is dropped, processes that use it are killed, and it is removed.
pub struct Home {
    directory: TempDir,
    mlxm: PathBuf,
}

impl Home {
    /// A directory without models.
    pub fn empty(environment: &Environment) -> Result<Self> {
        Ok(Self {
            directory: tempfile::tempdir()?,
            mlxm: environment.mlxm.clone(),
        })
    }

    /// A directory with the starter model.
    pub fn with_starter(environment: &Environment) -> Result<Self> {
        let home = Self::empty(environment)?;
        home.link_starter(environment)?;
        Ok(home)
    }

    /// Adds the starter model.
    pub fn link_starter(&self, environment: &Environment) -> Result<()> {
        let models = environment.model.parent();
        let models = models.context("the starter model has no parent directory")?;
        Ok(std::os::unix::fs::symlink(models, self.models())?)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of local models.
    pub fn models(&self) -> PathBuf {
        self.path().join("models")
    }

    /// The command that starts a gateway, without the user's model cache and without the network.
    pub fn command(&self) -> Result<Command> {
        let mut command = gateway::command(&self.mlxm, self.path())?;
        command
            .env("HF_HOME", self.path().join("hf"))
            .env_remove("HF_HUB_CACHE")
            .env_remove("HUGGINGFACE_HUB_CACHE")
            .env("HF_HUB_OFFLINE", "1")
            .env("MLXM_SHUTDOWN_TIMEOUT_SECONDS", "2");
        Ok(command)
    }

    /// Starts a gateway.
    pub fn start(&self) -> Result<Gateway> {
        Gateway::run(self.command()?, self.path())
    }

    /// Runs a gateway that must not start, and returns what it prints.
    pub fn fail(&self, mut command: Command) -> Result<String> {
        let printed = gateway::log(self.path()).len();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
        let status = wait_for(
            "the exit of a gateway that cannot start",
            EXIT_TIMEOUT,
            || Ok(child.try_wait()?),
        );
        if status.is_err() {
            child.kill()?;
            child.wait()?;
        }
        let log = gateway::log(self.path());
        let output = log.get(printed..).unwrap_or_default().to_owned();
        if status?.success() {
            bail!("the exit status of a gateway that cannot start is 0:\n{output}");
        }
        Ok(output)
    }

    /// Stops a gateway, which must leave no process running.
    pub fn stop(&self, gateway: Gateway) -> Result<()> {
        gateway.stop()?;
        wait_for("the exit of all processes", GONE_TIMEOUT, || {
            Ok(self.processes().is_empty().then_some(()))
        })
    }

    /// Processes with this home directory in their environment, as Linux shows it. Elsewhere there are none; workers exit by
    /// themselves, a minute after their gateway.
    fn processes(&self) -> Vec<libc::pid_t> {
        let mut entry = b"MLXM_HOME=".to_vec();
        entry.extend(self.path().as_os_str().as_bytes());
        let uses_home = |process: &Path| {
            // That of a process that has exited is empty.
            let variables = fs::read(process.join("environ")).unwrap_or_default();
            variables
                .split(|byte| *byte == 0)
                .any(|variable| variable == entry)
        };
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .flatten()
            .filter_map(|process| {
                let pid = process.file_name().to_str()?.parse().ok()?;
                uses_home(&process.path()).then_some(pid)
            })
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            // SAFETY: kills a process that was started for this directory.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_home_directory_are_killed_with_it() {
        let environment = Environment {
            mlxm: "mlxm".into(),
            model: "models/model".into(),
            load: Duration::ZERO,
        };
        let home = Home::empty(&environment).unwrap();
        let mut child = process::program("sleep")
            .arg("60")
            .env("MLXM_HOME", home.path())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        // The environment is that of the new program once it runs.
        let started = wait_for("the start", GONE_TIMEOUT, || {
            Ok(home.processes().contains(&pid).then_some(()))
        });
        started.unwrap();
        let other = Home::empty(&environment).unwrap();
        assert!(other.processes().is_empty());
        drop(home);
        assert!(!child.wait().unwrap().success());
    }
}
