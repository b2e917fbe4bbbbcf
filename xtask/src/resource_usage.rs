//! CPU time and memory of programs, as the system counts them.

use anyhow::{Context, Result};
use std::io;
use std::mem::MaybeUninit;
use std::process::ExitStatus;
use std::time::Duration;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

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
    cpu_of(libc::RUSAGE_SELF)
}

/// CPU time of the programs that this process started and that have exited, and of those they started.
pub fn children_cpu() -> Duration {
    cpu_of(libc::RUSAGE_CHILDREN)
}

/// CPU time of all threads of a running process so far.
pub fn cpu_of_process(pid: u32) -> Result<Duration> {
    let kind = ProcessRefreshKind::nothing().with_cpu();
    let milliseconds = read(pid, kind, |process| Some(process.accumulated_cpu_time()))?;
    Ok(Duration::from_millis(milliseconds))
}

/// The variable `name` in the environment that a process of this user was started with.
pub fn environment_of_process(pid: u32, name: &str) -> Result<String> {
    let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    read(pid, kind, |process| {
        let mut variables = process.environ().iter().filter_map(|one| one.to_str());
        let value = variables.find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    })
    .with_context(|| format!("cannot read {name} in the environment of process {pid}"))
}

/// What `value` finds in the system's facts of this kind about a process.
fn read<T>(
    pid: u32,
    kind: ProcessRefreshKind,
    value: impl FnOnce(&Process) -> Option<T>,
) -> Result<T> {
    let id = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), false, kind);
    let process = system.process(id).and_then(value);
    process.with_context(|| format!("process {pid} cannot be inspected"))
}

fn cpu_of(who: libc::c_int) -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to writable memory of the type the call fills, and all zeroes is a valid value of it.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
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
