//! The process that a server works for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the owner is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The process that a server works for. Clones share it, so that another process can take over.
#[derive(Debug, Clone)]
pub struct Owner(Arc<Mutex<Process>>);

#[derive(Debug, Clone, Copy)]
struct Process {
    pid: u32,
    /// The parent of this process. When it exits, this process gets another parent.
    is_parent: bool,
    /// Tells the process from a later one with the same id. `None` if there was no such process.
    start_time: Option<u64>,
}

impl Process {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            is_parent: std::os::unix::process::parent_id() == pid,
            start_time: start_time(pid),
        }
    }

    fn is_running(self) -> bool {
        if self.is_parent {
            return std::os::unix::process::parent_id() == self.pid;
        }
        self.start_time.is_some() && start_time(self.pid) == self.start_time
    }
}

impl Owner {
    /// The process `pid`.
    pub fn new(pid: u32) -> Self {
        Self(Arc::new(Mutex::new(Process::new(pid))))
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.lock().pid
    }

    /// Makes another process the owner. Returns whether there is a process `pid`; otherwise the owner stays the same.
    pub(crate) fn replace(&self, pid: u32) -> bool {
        let process = Process::new(pid);
        let exists = process.is_running();
        if exists {
            *self.lock() = process;
        }
        exists
    }

    /// Returns when there has been no owner for the time `grace`: at once with its exit if `grace` is zero.
    pub async fn orphaned(&self, grace: Duration) {
        let mut gone_since: Option<Instant> = None;
        loop {
            // Copied, so that the lock is not held while the process is looked for.
            let owner = *self.lock();
            if owner.is_running() {
                gone_since = None;
            } else {
                if gone_since.is_none() {
                    let (pid, grace_seconds) = (owner.pid, grace.as_secs());
                    tracing::warn!(pid, grace_seconds, "the owner of this server is gone");
                }
                if gone_since.get_or_insert_with(Instant::now).elapsed() >= grace {
                    return;
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        // The state is a plain value: a panic elsewhere cannot leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the process started, in a unit of the OS; `None` if it has exited. Not in wall-clock time, which can be set.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name of the program, in parentheses, may contain spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// When the process started; `None` if it has exited.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<u64> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    let processes = ProcessesToUpdate::Some(std::slice::from_ref(&pid));
    system.refresh_processes_specifics(processes, true, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    let exited = matches!(
        process.status(),
        ProcessStatus::Zombie | ProcessStatus::Dead
    );
    (!exited).then(|| process.start_time())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that runs until its input closes.
    fn process() -> Child {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// Ends the process without waiting for it: it stays a zombie.
    fn end(child: &mut Child) {
        drop(child.stdin.take());
    }

    #[tokio::test]
    async fn orphaned_returns_when_the_owner_has_exited_even_if_it_is_a_zombie() {
        let mut child = process();
        let owner = Owner::new(child.id());
        let orphaned = owner.orphaned(Duration::ZERO);
        let mut orphaned = std::pin::pin!(orphaned);
        let timeout = tokio::time::timeout(Duration::from_millis(300), &mut orphaned);
        assert!(timeout.await.is_err(), "the owner is running");
        end(&mut child);
        orphaned.await;
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn new_owner_within_the_grace_keeps_the_server_running() {
        let (mut first, mut second) = (process(), process());
        let owner = Owner::new(first.id());
        end(&mut first);
        first.wait().unwrap();
        let orphaned = owner.orphaned(Duration::from_millis(600));
        let mut orphaned = std::pin::pin!(orphaned);
        let timeout = tokio::time::timeout(Duration::from_millis(300), &mut orphaned);
        assert!(timeout.await.is_err(), "the grace has not ended");
        assert!(owner.replace(second.id()));
        assert_eq!(owner.pid(), second.id());
        let timeout = tokio::time::timeout(Duration::from_secs(1), &mut orphaned);
        assert!(timeout.await.is_err(), "the new owner is running");
        end(&mut second);
        second.wait().unwrap();
        let start = Instant::now();
        orphaned.await;
        assert!(start.elapsed() >= Duration::from_millis(500));
    }

    #[tokio::test]
    async fn absent_process_cannot_be_the_owner() {
        let mut child = process();
        end(&mut child);
        child.wait().unwrap();
        let owner = Owner::new(std::os::unix::process::parent_id());
        let before = owner.pid();
        assert!(!owner.replace(child.id()));
        assert_eq!(owner.pid(), before);
        Owner::new(child.id()).orphaned(Duration::ZERO).await;
    }
}
