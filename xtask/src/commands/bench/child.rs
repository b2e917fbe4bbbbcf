//! Runs a program to completion and reports its output and resource usage.

use super::machine::CpuTime;
use crate::process::{self, last_lines};
use crate::resource_usage::wait;
use anyhow::{Context, Result, bail};
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The system counts CPU time in hundredths of a second, which is too coarse for shorter runs.
pub const MIN_WALL: Duration = Duration::from_secs(1);

/// Output and resource usage of a finished program.
#[derive(Debug)]
pub struct ChildOutput {
    pub stdout: String,
    pub stderr: String,
    /// From its start to its exit.
    pub wall: Duration,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Maximum resident set size, mapped files included.
    pub peak_rss_bytes: u64,
    /// CPUs used by other programs, on average over the run; `None` if the system does not report it or the run was
    /// shorter than [`MIN_WALL`].
    pub other_cpus: Option<f64>,
}

/// Runs the command; failure is an error with the last lines of its stderr.
pub fn run(command: &mut Command) -> Result<ChildOutput> {
    let line = process::describe(command);
    let before = CpuTime::read();
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let usage = wait(child.id()).with_context(|| format!("cannot wait for `{line}`"))?;
    let wall = started.elapsed();
    let (stdout, stderr) = (text(stdout)?, text(stderr)?);
    if !usage.status.success() {
        bail!(
            "`{line}` failed ({})\n{}",
            usage.status,
            last_lines(&stderr, 20)
        );
    }
    let other_cpus = before
        .filter(|_| wall >= MIN_WALL)
        .zip(CpuTime::read())
        .map(|(before, after)| after.others_since(&before, usage.cpu, wall));
    Ok(ChildOutput {
        stdout,
        stderr,
        wall,
        cpu: usage.cpu,
        peak_rss_bytes: usage.peak_rss_bytes,
        other_cpus,
    })
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

fn text(reader: Option<JoinHandle<io::Result<Vec<u8>>>>) -> Result<String> {
    let Some(reader) = reader else {
        return Ok(String::new());
    };
    let Ok(bytes) = reader.join() else {
        bail!("a thread that read a program's output panicked");
    };
    Ok(String::from_utf8_lossy(&bytes?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = process::program("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn run_reports_output_time_and_memory() {
        let output = run(&mut shell("echo out; echo err >&2; sleep 0.05")).unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), ("out\n", "err\n"));
        assert!(output.wall >= Duration::from_millis(50));
        assert!(output.cpu < output.wall);
        assert!(output.peak_rss_bytes > 100_000, "{output:?}");
    }

    #[test]
    fn output_larger_than_a_pipe_does_not_block() {
        let output = run(&mut shell("seq 1 100000; seq 1 100000 >&2")).unwrap();
        assert!(output.stdout.ends_with("\n100000\n"));
        assert_eq!(output.stdout, output.stderr);
    }

    #[test]
    fn failure_shows_stderr() {
        let error = run(&mut shell("echo broken >&2; exit 3")).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
