//! The system time of the gateway changes by days during requests: durations are those of the monotonic clock, and models are
//! unloaded after their TTL, neither earlier nor later.

use super::audit::{self, Row};
use super::clients::MAX_TOKENS;
use super::environment::{Environment, Home, STARTER};
use super::stream::Protocol;
use super::{Outcome, api};
use crate::gateway::Gateway;
use crate::http::{self, Response};
use crate::interrupt::{pause, wait_for};
use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::env;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIBRARY: &str = include_str!("clock_jump.c");

const DAY: i64 = 24 * 60 * 60;

/// TTL of a model that must stay although the time jumps past it, and of one that must go although it jumps back.
const LONG_TTL_SECONDS: u64 = 3600;
const SHORT_TTL: Duration = Duration::from_secs(6);

/// Part of the short TTL after which the model must still be loaded, and time after which it must be gone.
const EARLY: Duration = Duration::from_secs(2);
const UNLOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Longer than any of the requests takes.
const MAX_DURATION_MS: i64 = 60_000;

pub fn run(environment: &Environment) -> Result<Outcome> {
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::Skipped(
            "the clock is changed with LD_PRELOAD, on Linux".to_owned(),
        ));
    }
    let home = Home::with_starter(environment)?;
    let mut clock = Clock::new(home.path())?;
    let mut command = home.command()?;
    command
        .env("LD_PRELOAD", &clock.library)
        .env("CLOCK_OFFSET_FILE", &clock.offset);
    let gateway = Gateway::run(command, home.path())?;
    for (name, context_length, ttl_seconds) in [
        ("kept", 1024, LONG_TTL_SECONDS),
        ("expiring", 2048, SHORT_TTL.as_secs()),
    ] {
        let load = json!({"context_length": context_length});
        api::create_profile(
            &gateway,
            &json!({"name": name, "model": STARTER, "ttl_seconds": ttl_seconds, "load": load}),
        )?;
    }
    api::chat(&gateway, "kept")?;
    let kept = worker(&gateway, "kept")?.context("the model is not loaded")?;

    stream(&gateway, "kept", || clock.set(DAY))?;
    // The time at which this request arrives shows that the clock has jumped.
    api::chat(&gateway, "expiring")?;
    stream(&gateway, "expiring", || clock.set(-2 * DAY))?;
    let ended = Instant::now();
    pause(EARLY)?;
    // A very busy machine may respond after the TTL only.
    if worker(&gateway, "expiring")?.is_none() && ended.elapsed() < SHORT_TTL {
        bail!(
            "the model was unloaded before its TTL of {} s",
            SHORT_TTL.as_secs()
        );
    }
    wait_for("the end of the TTL", UNLOAD_TIMEOUT, || {
        Ok(worker(&gateway, "expiring")?.is_none().then_some(()))
    })?;
    if worker(&gateway, "kept")? != Some(kept) {
        bail!("the model with a TTL of {LONG_TTL_SECONDS} s was unloaded");
    }
    let rows = audit::wait_for_rows(&gateway, 4)?;
    let longest = check_rows(&rows)?;
    home.stop(gateway)?;
    Ok(Outcome::Passed(format!(
        "1 day forward and 3 back during streams; longest duration {longest} ms; no TTL ended early or late"
    )))
}

/// The process id of the worker of a profile.
fn worker(gateway: &Gateway, profile: &str) -> Result<Option<u32>> {
    let workers = api::workers(gateway)?;
    let worker = workers.iter().find(|worker| worker.profile == profile);
    Ok(worker.map(|worker| worker.pid))
}

/// Requests a stream, and does something before it is read.
fn stream(
    gateway: &Gateway,
    profile: &str,
    meanwhile: impl FnOnce() -> io::Result<()>,
) -> Result<()> {
    let protocol = Protocol::Chat;
    let body = protocol.body(profile, "Tell me a story.", MAX_TOKENS);
    let path = protocol.path();
    let connection = http::begin(gateway.address(), path, &[], Some(&body.to_string()))?;
    connection.set_read_timeout(Some(api::LOAD_TIMEOUT))?;
    let mut response = Response::read(connection)?;
    meanwhile()?;
    let text = io::read_to_string(&mut response.body)?;
    let status = response.status;
    if status != 200 || !text.contains("[DONE]") || text.contains("\"error\"") {
        bail!("a stream during the jump: status {status}: {text}");
    }
    Ok(())
}

/// Checks the durations, and that the gateway saw the jump forward. Returns the longest duration in milliseconds.
fn check_rows(rows: &[Row]) -> Result<i64> {
    for row in rows {
        if !(0..MAX_DURATION_MS).contains(&row.duration_ms) {
            bail!("the duration is not that of a request: {row:?}");
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let latest = rows.iter().map(|row| row.at_ms).max().unwrap_or_default();
    let offset_ms = latest - i64::try_from(now)?;
    if offset_ms < DAY * 1000 - MAX_DURATION_MS * 2 {
        bail!(
            "the clock of the gateway did not jump: the last request is {offset_ms} ms in the future"
        );
    }
    Ok(rows
        .iter()
        .map(|row| row.duration_ms)
        .max()
        .unwrap_or_default())
}

/// An offset that is added to the system time of a program.
struct Clock {
    library: PathBuf,
    offset: PathBuf,
    file: File,
}

impl Clock {
    /// Compiles the library in a directory. The offset is 0.
    fn new(directory: &Path) -> Result<Self> {
        let source = directory.join("clock_jump.c");
        fs::write(&source, LIBRARY)?;
        let library = directory.join("clock_jump.so");
        // As for build scripts, the variable may contain options after the program.
        let compiler = env::var("CC")
            .ok()
            .filter(|compiler| !compiler.trim().is_empty());
        let compiler = compiler.unwrap_or_else(|| "cc".to_owned());
        let mut words = compiler.split_whitespace();
        let mut command = process::program(words.next().unwrap_or("cc"));
        command
            .args(words)
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(&library)
            .arg(&source);
        process::read(&mut command)?;
        let offset = directory.join("clock_offset");
        let mut clock = Self {
            library,
            file: File::create(&offset)?,
            offset,
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets the offset for a program that is running.
    fn set(&mut self, seconds: i64) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(&seconds.to_ne_bytes())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn clock_of_a_program_has_the_offset() {
        let folder = tempfile::tempdir().unwrap();
        let mut clock = Clock::new(folder.path()).unwrap();
        let seconds = |clock: &Clock| -> i64 {
            let mut date = process::program("date");
            date.arg("+%s")
                .env("LD_PRELOAD", &clock.library)
                .env("CLOCK_OFFSET_FILE", &clock.offset);
            process::read(&mut date).unwrap().parse().unwrap()
        };
        let before = seconds(&clock);
        clock.set(DAY).unwrap();
        let offset = seconds(&clock) - before;
        assert!((DAY..DAY + 3600).contains(&offset), "{offset}");
        clock.set(-DAY).unwrap();
        assert!(seconds(&clock) < before);
    }
}
