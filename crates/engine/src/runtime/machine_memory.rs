//! Memory of this machine and of this process.

use mlxm_machine::MemoryLimits;

/// Default memory limit for a model, as a fraction of the memory this process may use.
const MODEL_SHARE: f64 = 0.8;

/// Memory that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineMemory {
    /// The smallest of physical memory, the limits of the control groups of this process, and its maximum address space.
    pub total_bytes: u64,
    /// What is left of all of them. Page cache counts as available.
    pub available_bytes: u64,
}

impl MachineMemory {
    /// Reads memory from the OS; `None` on unsupported systems.
    pub fn read() -> Option<Self> {
        Self::from_limits(&MemoryLimits::read())
    }

    /// The memory under all of `limits`; `None` if there are none.
    pub fn from_limits(limits: &MemoryLimits) -> Option<Self> {
        let total_bytes = limits.smallest()?.bytes;
        Some(Self {
            total_bytes,
            available_bytes: limits
                .available_bytes()
                .unwrap_or(total_bytes)
                .min(total_bytes),
        })
    }

    /// The default memory limit for a model.
    pub fn model_budget_bytes(self) -> u64 {
        (self.total_bytes as f64 * MODEL_SHARE) as u64
    }
}

/// Peak resident memory of this process in bytes; 0 if unknown.
pub fn peak_resident_bytes() -> u64 {
    // SAFETY: an all-zero rusage is valid, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) != 0 {
            return 0;
        }
        usage
    };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or_default();
    // Linux counts kibibytes, macOS bytes.
    if cfg!(target_os = "macos") {
        peak
    } else {
        peak * 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_budget_is_a_share_of_the_smallest_limit() {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in [
            (
                "proc/meminfo",
                "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n",
            ),
            ("proc/self/cgroup", "0::/a/b\n"),
            (
                "proc/self/mountinfo",
                "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/a/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/a/memory.current", "100000000\n"),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let memory = MachineMemory::from_limits(&MemoryLimits::read_under(root.path())).unwrap();
        assert_eq!(memory.total_bytes, 1_000_000_000);
        assert_eq!(memory.available_bytes, 900_000_000);
        assert_eq!(memory.model_budget_bytes(), 800_000_000);
        assert_eq!(MachineMemory::from_limits(&MemoryLimits::default()), None);
    }
}
