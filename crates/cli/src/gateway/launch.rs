//! Starts the gateway in the background.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mlxm_api::gateway::events::logs::default_log_file;

use super::Gateway;
use crate::context::{self, Context};
use crate::failure::Failure;

/// Longest wait for the gateway. It loads no model, but an older database is migrated first.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Lines of the log that are shown if it does not start.
const SHOWN_LINES: usize = 10;

/// The output of a gateway that was started in the background: also its log file, unless a setting says otherwise.
pub fn log_file(home: &Path) -> PathBuf {
    default_log_file(home)
}

/// Starts the gateway of this home directory and waits until it responds. It keeps running after this process.
pub fn start(context: &Context) -> anyhow::Result<Gateway> {
    let home = context::require_home()?;
    let path = log_file(&home);
    let (log, position) =
        open_log(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let errors = log
        .try_clone()
        .with_context(|| format!("cannot write {}", path.display()))?;
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    context.output.note(&format!(
        "starting the gateway in the background (log: {})",
        path.display()
    ));
    let mut child = Command::new(&program)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C on the terminal ends this command only.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let exited = child.try_wait().context("cannot wait for the gateway")?;
        // Checked after the exit: another command may have started a gateway at the same time.
        if let Ok(Some(gateway)) = super::running() {
            return Ok(gateway);
        }
        if let Some(status) = exited {
            let message = format!(
                "the gateway did not start ({status}):\n{}",
                last_lines(&path, position)
            );
            return Err(Failure::with_hint(
                message,
                "correct this, or run `mlxm serve` to see its whole output",
            )
            .into());
        }
        if Instant::now() >= deadline {
            let message = format!(
                "the gateway did not respond within {} s",
                START_TIMEOUT.as_secs()
            );
            let hint = format!(
                "it continues to start as process {}: see {} and try again",
                child.id(),
                path.display()
            );
            return Err(Failure::with_hint(message, hint).into());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The log and its size so far.
fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let position = log.metadata()?.len();
    Ok((log, position))
}

/// The last lines after this position.
fn last_lines(path: &Path, position: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(position))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    // What cannot be read is named in the message by its path.
    let text = read().unwrap_or_else(|error| format!("cannot read {}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.split_at(lines.len().saturating_sub(SHOWN_LINES)).1;
    shown
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
