//! A server on this machine as a child process: started with a log, waited for, and stopped or killed.

use crate::process;
use crate::resource_usage::{self, Usage};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Lines of a log that an error shows.
const SHOWN_LINES: usize = 40;

/// A running server. It is stopped when the value is dropped.
#[derive(Debug)]
pub struct RunningServer {
    /// `None` once the process has been waited for, as its id may belong to another one then.
    child: Option<Child>,
    pid: u32,
    address: String,
    log: PathBuf,
    /// Removed when the value is dropped.
    _scratch: Option<TempDir>,
}

/// Appends the output of a command to a log.
pub fn log_to(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    Ok(())
}

impl RunningServer {
    /// Starts a server whose output goes to `log`, and waits until `address` returns its `HOST:PORT` for the id of its process.
    /// The directory `scratch` is removed with it.
    pub fn start(
        mut command: Command,
        log: PathBuf,
        scratch: Option<TempDir>,
        timeout: Duration,
        address: impl Fn(u32) -> Option<String>,
    ) -> Result<Self> {
        let line = process::describe(&command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let mut server = Self {
            pid: child.id(),
            child: Some(child),
            address: String::new(),
            log,
            _scratch: scratch,
        };
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(address) = address(server.pid) {
                server.address = address;
                return Ok(server);
            }
            let exited = server.child.as_mut().map(Child::try_wait).transpose()?;
            if let Some(status) = exited.flatten() {
                bail!("`{line}` exited ({status})\n{}", server.log());
            }
            if Instant::now() > deadline {
                let seconds = timeout.as_secs();
                bail!("`{line}` is not ready after {seconds} s\n{}", server.log());
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        process::last_lines(&String::from_utf8_lossy(&bytes), SHOWN_LINES)
    }

    /// Kills it and returns its resource usage.
    pub fn kill(mut self) -> Result<Usage> {
        let mut child = self.take_child()?;
        child.kill()?;
        resource_usage::wait(child.id()).context("cannot wait for the server")
    }

    /// Stops it with SIGTERM.
    pub fn stop(mut self) -> Result<()> {
        let status = self.end()?;
        if !status.success() {
            bail!(
                "the server failed when it was stopped ({status})\n{}",
                self.log()
            );
        }
        Ok(())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        let mut child = self.take_child()?;
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // SAFETY: the child has not been waited for, so that its id is not reused.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                // Workers of a gateway exit when their owner is gone.
                child.kill()?;
                return Ok(child.wait()?);
            }
            sleep(POLL_INTERVAL);
        }
    }

    fn take_child(&mut self) -> Result<Child> {
        self.child.take().context("the server has already exited")
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        // An error means that it has already exited.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A server that runs `script`, and is ready once it has printed something.
    fn start(script: &str, timeout: Duration) -> Result<RunningServer> {
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log");
        let mut command = process::program("sh");
        command.args(["-c", script]);
        log_to(&mut command, &log)?;
        let output = log.clone();
        let address = move |pid: u32| {
            let text = fs::read_to_string(&output).unwrap_or_default();
            text.ends_with('\n')
                .then(|| format!("{pid}:{}", text.trim()))
        };
        RunningServer::start(command, log, Some(scratch), timeout, address)
    }

    #[test]
    fn server_is_stopped_or_killed() {
        let server = start(
            "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
            TIMEOUT,
        );
        let server = server.unwrap();
        assert_eq!(server.address(), format!("{}:ready", server.pid()));
        assert_eq!(server.log(), "ready");
        server.stop().unwrap();

        let server = start("echo ready; exec sleep 60", TIMEOUT).unwrap();
        assert!(!server.kill().unwrap().status.success());
        let server = start("echo ready; exec sleep 60", TIMEOUT).unwrap();
        let error = server.stop().unwrap_err().to_string();
        assert!(error.contains("ready"), "{error}");
    }

    #[test]
    fn failed_starts_show_the_log() {
        let error = start("printf broken >&2; exit 3", TIMEOUT).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("broken"),
            "{error}"
        );
        let error = start("printf slow; exec sleep 60", Duration::from_millis(100));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("not ready"), "{error}");
    }
}
