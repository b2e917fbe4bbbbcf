//! A gateway with a home directory of its own, so that one of the user is not disturbed.

use crate::http::{self, Response};
use crate::process;
use crate::server::{self, RunningServer};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long the gateway may take to start. It loads no model.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Longer than any response takes that is read as a whole; only a hang reaches it.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(3);

/// A running gateway. It is stopped when the value is dropped.
pub struct Gateway(RunningServer);

/// The command that starts a gateway on a free port of this machine, with this home directory. Its output goes to a log there.
pub fn command(mlxm: &Path, home: &Path) -> Result<Command> {
    let mut command = process::program(mlxm);
    command
        .arg("serve")
        .env("MLXM_HOME", home)
        .env("MLXM_SERVER_HOST", "127.0.0.1")
        .env("MLXM_SERVER_PORT", "0")
        .env_remove("DATABASE_URL")
        .env_remove("MLXM_API_KEY");
    server::log_to(&mut command, &log_file(home))?;
    Ok(command)
}

/// What the gateways in a home directory have printed.
pub fn log(home: &Path) -> String {
    fs::read_to_string(log_file(home)).unwrap_or_default()
}

fn log_file(home: &Path) -> PathBuf {
    home.join("log")
}

/// The address in `gateway.json`, which the gateway writes when it accepts requests. The file of an earlier one that was killed
/// does not count.
fn read_address(home: &Path, pid: u32) -> Option<String> {
    let text = fs::read_to_string(home.join("gateway.json")).ok()?;
    let file: Value = serde_json::from_str(&text).ok()?;
    let address = file["url"].as_str()?.strip_prefix("http://")?.to_owned();
    (file["pid"] == pid).then_some(address)
}

impl Gateway {
    /// Starts a gateway with these local models, and a home directory that is removed with it.
    pub fn start(mlxm: &Path, models: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let home = scratch.path().to_owned();
        std::os::unix::fs::symlink(models, home.join("models"))?;
        Self::launch(command(mlxm, &home)?, &home, Some(scratch))
    }

    /// Runs a command of [`command`], and waits until the gateway accepts requests.
    pub fn run(command: Command, home: &Path) -> Result<Self> {
        Self::launch(command, home, None)
    }

    fn launch(command: Command, home: &Path, scratch: Option<TempDir>) -> Result<Self> {
        let log = log_file(home);
        let address = |pid| read_address(home, pid);
        let server = RunningServer::start(command, log, scratch, START_TIMEOUT, address)?;
        eprintln!("the gateway is running at http://{}", server.address());
        Ok(Self(server))
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Status and body of the response to a request: with a body it is a POST, else a GET.
    pub fn request(&self, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string);
        let text = || -> io::Result<(u16, String)> {
            let connection = http::begin(self.address(), path, &[], body.as_deref())?;
            connection.set_read_timeout(Some(REQUEST_TIMEOUT))?;
            let mut response = Response::read(connection)?;
            let mut text = String::new();
            response.body.read_to_string(&mut text)?;
            Ok((response.status, text))
        };
        let (status, text) = text().with_context(|| format!("the request for {path} failed"))?;
        // Not all bodies are JSON.
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, value))
    }

    /// Kills it. Its workers keep running for a minute, for the next gateway.
    pub fn kill(self) -> Result<()> {
        self.0.kill().map(|_| ())
    }

    /// Stops the gateway and its workers.
    pub fn stop(self) -> Result<()> {
        self.0.stop()
    }
}
