//! A gateway with a home directory of its own, so that one of the user is not disturbed.

use crate::http::{self, Response};
use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the gateway may take to start. It loads no model.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to stop its workers.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// Longer than any response takes that is read as a whole; only a hang reaches it.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running gateway. It is stopped when the value is dropped.
pub struct Gateway {
    child: Child,
    address: String,
    home: PathBuf,
    /// Removed when the value is dropped.
    _scratch: Option<TempDir>,
}

/// The command that starts a gateway on a free port of this machine, with this home directory. Its output goes to a log there.
pub fn command(mlxm: &Path, home: &Path) -> Result<Command> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(home))?;
    let mut command = process::program(mlxm);
    command
        .arg("serve")
        .env("MLXM_HOME", home)
        .env("MLXM_SERVER_HOST", "127.0.0.1")
        .env("MLXM_SERVER_PORT", "0")
        .env_remove("DATABASE_URL")
        .env_remove("MLXM_API_KEY")
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// What the gateways in a home directory have printed.
pub fn log(home: &Path) -> String {
    fs::read_to_string(log_file(home)).unwrap_or_default()
}

fn log_file(home: &Path) -> PathBuf {
    home.join("log")
}

impl Gateway {
    /// Starts a gateway with these local models, and a home directory that is removed with it.
    pub fn start(mlxm: &Path, models: &Path) -> Result<Self> {
        let home = tempfile::tempdir()?;
        std::os::unix::fs::symlink(models, home.path().join("models"))?;
        let path = home.path().to_owned();
        Self::spawn(command(mlxm, &path)?, path, Some(home))
    }

    /// Runs a command of [`command`], and waits until the gateway accepts requests.
    pub fn run(command: Command, home: &Path) -> Result<Self> {
        Self::spawn(command, home.to_owned(), None)
    }

    fn spawn(mut command: Command, home: PathBuf, scratch: Option<TempDir>) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
        let mut gateway = Self {
            child,
            address: String::new(),
            home,
            _scratch: scratch,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while gateway.address.is_empty() {
            if let Some(status) = gateway.child.try_wait()? {
                bail!("the gateway ended ({status}):\n{}", gateway.log());
            }
            if Instant::now() > deadline {
                let seconds = START_TIMEOUT.as_secs();
                bail!(
                    "the gateway did not start within {seconds} s:\n{}",
                    gateway.log()
                );
            }
            sleep(POLL_INTERVAL);
            gateway.address = gateway.read_address().unwrap_or_default();
        }
        eprintln!("the gateway is running at http://{}", gateway.address);
        Ok(gateway)
    }

    /// The address in `gateway.json`, which the gateway writes when it accepts requests. The file of an earlier one that was
    /// killed does not count.
    fn read_address(&self) -> Option<String> {
        let text = fs::read_to_string(self.home.join("gateway.json")).ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        let url = file["url"].as_str()?;
        let address = url.strip_prefix("http://")?.to_owned();
        (file["pid"] == self.pid()).then_some(address)
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        log(&self.home)
    }

    /// Status and body of the response to a request: with a body it is a POST, else a GET.
    pub fn request(&self, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let body = body.map(Value::to_string);
        let text = || -> io::Result<(u16, String)> {
            let connection = http::begin(&self.address, path, &[], body.as_deref())?;
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
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops the gateway and its workers.
    pub fn stop(mut self) -> Result<()> {
        let status = self.end()?;
        if !status.success() {
            bail!(
                "the gateway failed when it was stopped ({status}):\n{}",
                self.log()
            );
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // SAFETY: the child has not been waited for, so that its id is not reused.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                // Its workers exit when their owner is gone.
                self.child.kill()?;
                return self.child.wait();
            }
            sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Nothing more can be done.
        let _ = self.end();
    }
}
