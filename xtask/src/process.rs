//! Runs other programs from the workspace root, without stdin, with errors that show the command.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines of a failed program's output its error shows again.
const LINES_IN_ERROR: usize = 150;

/// How long output is awaited after the program has ended.
const REST_OF_OUTPUT: Duration = Duration::from_secs(5);

/// A command that runs `name` from the workspace root.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    // Cargo sets these for xtask itself; they would mislead other programs.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that started xtask.
pub fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs the program and shows its output; failure is an error.
///
/// Where the output goes to a file, as in CI, the error has its last lines too: it is shown again at the end, which is
/// the part of a long log that people look at.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    eprintln!("$ {line}");
    if io::stderr().is_terminal() {
        let status = command
            .status()
            .with_context(|| format!("cannot start `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed ({status})");
        }
        return Ok(());
    }
    let (reader, writer) = io::pipe()?;
    let started = command
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start `{line}`"));
    // The command holds the writing ends of the pipe, which would never reach its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = started?;
    let last = Arc::new(Mutex::new(VecDeque::new()));
    let forwarding = thread::spawn({
        let last = Arc::clone(&last);
        move || forward(reader, &last)
    });
    let status = child.wait()?;
    // A process that the program left running may keep the pipe open for ever.
    let until = Instant::now() + REST_OF_OUTPUT;
    while !forwarding.is_finished() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    if !status.success() {
        let last: Vec<String> = lines(&last).drain(..).collect();
        bail!("`{line}` failed ({status}):\n{}", last.concat().trim_end());
    }
    Ok(())
}

fn lines(last: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies all output to the standard error, and keeps its last lines.
fn forward(output: PipeReader, last: &Mutex<VecDeque<String>>) -> io::Result<()> {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        io::stderr().write_all(&line)?;
        let mut last = lines(last);
        if last.len() == LINES_IN_ERROR {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(&line).into_owned());
        line.clear();
    }
    Ok(())
}

/// Runs the program and returns its standard output.
pub fn read(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({})\n{}", output.status, errors.trim_end());
    }
    Ok(String::from_utf8(output.stdout)
        .with_context(|| format!("`{line}` did not print UTF-8"))?
        .trim_end()
        .to_owned())
}

/// Whether the program can be started and succeeds; its output is discarded.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The command as it would be typed, without the directory of the program.
pub fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.contains('\n') {
            // An inline script.
            line.push_str("...");
        } else if argument.is_empty() || argument.contains([' ', '"', '\'', ';', '*']) {
            line.push('\'');
            line.push_str(&argument.replace('\'', "'\\''"));
            line.push('\'');
        } else {
            line.push_str(&argument);
        }
    }
    line
}
