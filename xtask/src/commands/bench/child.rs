//! Runs a program to completion and reports its output and resource usage.

use super::machine::CpuTime;
use crate::process;
use anyhow::{Context, Result, bail};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::process::{Command, ExitStatus, Stdio};
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

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Resource usage of a program that has exited.
#[derive(Debug)]
pub struct Usage {
    pub status: ExitStatus,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Maximum resident set size, mapped files included.
    pub peak_rss_bytes: u64,
}

/// Waits for a child of this process; the standard library does not report resource usage.
pub fn wait(id: u32) -> io::Result<Usage> {
    use std::os::unix::process::ExitStatusExt as _;

    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to writable memory of the types the call fills.
        let waited =
            unsafe { libc::wait4(id as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all zeroes is a valid value of this plain struct of integers, and the call has filled it.
    let usage = unsafe { usage.assume_init() };
    // Linux reports kilobytes, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(Usage {
        status: ExitStatus::from_raw(status),
        cpu: cpu_time(&usage),
        peak_rss_bytes: usage.ru_maxrss as u64 * unit,
    })
}

/// CPU time of this process so far.
pub fn own_cpu() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to writable memory of the type the call fills, and all zeroes is a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    cpu_time(&usage)
}

fn cpu_time(usage: &libc::rusage) -> Duration {
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
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
