//! Memory of this machine and of this process.

use sysinfo::{MemoryRefreshKind, System};

/// Default memory limit for a model, as a fraction of physical memory.
const MODEL_SHARE: f64 = 0.8;

/// Memory of this machine.
#[derive(Debug, Clone, Copy)]
pub struct MachineMemory {
    /// Physical memory, or the cgroup limit.
    pub total_bytes: u64,
    /// Free or reclaimable memory.
    pub available_bytes: u64,
}

impl MachineMemory {
    /// Reads memory from the OS; `None` on unsupported systems.
    pub fn read() -> Option<Self> {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let limit = system
            .cgroup_limits()
            .map(|limits| limits.total_memory)
            .filter(|limit| *limit > 0);
        let total_bytes = limit.unwrap_or(u64::MAX).min(system.total_memory());
        (total_bytes > 0).then(|| Self {
            total_bytes,
            available_bytes: system.available_memory().min(total_bytes),
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
