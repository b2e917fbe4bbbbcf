//! What this machine has: memory and processors.

use sysinfo::{MemoryRefreshKind, System};

/// Of the physical memory, what a model may take by default: the system and other programs need the rest.
const MODEL_SHARE: f64 = 0.8;

/// Memory of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Physical memory, or the limit of the container this runs in.
    pub total_bytes: u64,
    /// What is free or can be freed.
    pub available_bytes: u64,
}

impl Memory {
    /// Asks the system; `None` where it does not say.
    pub fn read() -> Option<Self> {
        let mut system = System::new().ok()?;
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

    /// What a model may take by default.
    pub fn model_budget_bytes(self) -> u64 {
        (self.total_bytes as f64 * MODEL_SHARE) as u64
    }
}

/// Vector instructions of this processor that matter for matrix multiplication.
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
