//! Memory and CPU features of this machine.

use sysinfo::{MemoryRefreshKind, System};

/// Default memory limit for a model, as a fraction of physical memory.
const MODEL_SHARE: f64 = 0.8;

/// Memory of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Physical memory, or the cgroup limit.
    pub total_bytes: u64,
    /// Free or reclaimable memory.
    pub available_bytes: u64,
}

impl Memory {
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

/// SIMD extensions of the CPU that matter for matrix multiplication.
pub fn cpu_features() -> Vec<&'static str> {
    let mut features = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($name:tt),*) => {$(
                if std::arch::is_x86_feature_detected!($name) {
                    features.push($name);
                }
            )*};
        }
        detect!(
            "avx",
            "avx2",
            "fma",
            "f16c",
            "avx512f",
            "avx512bw",
            "avx512vnni",
            "avx512bf16"
        );
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! detect {
            ($($name:tt),*) => {$(
                if std::arch::is_aarch64_feature_detected!($name) {
                    features.push($name);
                }
            )*};
        }
        detect!("neon", "fp16", "dotprod", "i8mm", "bf16", "sve");
    }
    features
}
