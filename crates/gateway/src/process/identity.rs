//! Which process it is, although ids are reused.

use std::path::Path;

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::server::ProcessIdentity;

/// Difference of two readings of a start time: it is computed from the time of boot, which is rounded and follows the clock.
const TOLERANCE_S: u64 = 2;

/// What Linux appends to the program of a process whose file has been replaced, such as by an update.
const DELETED: &str = " (deleted)";

impl ProcessIdentity {
    /// The process with this id; `None` if there is none, or only the rest of one that has exited.
    pub fn read(pid: u32) -> Option<Self> {
        let kind = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always);
        with_process(pid, kind, |process| Self {
            pid,
            start_time_s: process.start_time(),
            program: without_suffix(process.exe().unwrap_or(Path::new(""))).into(),
        })
    }

    /// Whether the process is still running.
    pub fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|other| {
            other.program == self.program
                && other.start_time_s.abs_diff(self.start_time_s) <= TOLERANCE_S
        })
    }
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessUse {
    /// Resident memory.
    pub resident_bytes: u64,
    /// CPU time of all its threads since its start.
    pub cpu_time_ms: u64,
}

/// What a process uses; `None` if there is none with this id.
pub fn process_use(pid: u32) -> Option<ProcessUse> {
    let kind = ProcessRefreshKind::nothing().with_memory().with_cpu();
    with_process(pid, kind, |process| ProcessUse {
        resident_bytes: process.memory(),
        cpu_time_ms: process.accumulated_cpu_time(),
    })
}

/// Resident memory of a process.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let kind = ProcessRefreshKind::nothing().with_memory();
    with_process(pid, kind, sysinfo::Process::memory)
}

fn with_process<T>(
    pid: u32,
    kind: ProcessRefreshKind,
    read: impl FnOnce(&sysinfo::Process) -> T,
) -> Option<T> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
    let process = system.process(pid)?;
    let exited = matches!(
        process.status(),
        ProcessStatus::Zombie | ProcessStatus::Dead
    );
    (!exited).then(|| read(process))
}

fn without_suffix(program: &Path) -> &Path {
    let text = program.to_str().and_then(|text| text.strip_suffix(DELETED));
    text.map_or(program, Path::new)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn process_is_alive_until_it_exits_and_others_are_distinguished() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let identity = ProcessIdentity::read(child.id()).unwrap();
        assert!(identity.is_alive());
        assert!(resident_bytes(child.id()).unwrap() > 0);
        let earlier = ProcessIdentity {
            start_time_s: identity.start_time_s - 60,
            ..identity.clone()
        };
        assert!(!earlier.is_alive());
        let other = ProcessIdentity {
            program: "/bin/other".into(),
            ..identity.clone()
        };
        assert!(!other.is_alive());
        // Before it is waited for, it is a zombie.
        drop(child.stdin.take());
        while identity.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn replaced_program_is_the_same_program() {
        assert_eq!(
            without_suffix(Path::new("/bin/mlxm (deleted)")),
            Path::new("/bin/mlxm")
        );
        assert_eq!(
            without_suffix(Path::new("/bin/mlxm")),
            Path::new("/bin/mlxm")
        );
    }
}
