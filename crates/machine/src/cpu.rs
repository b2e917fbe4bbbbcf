//! The CPUs that this process may use.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::available_parallelism;

use crate::cgroup::{Version, hierarchies};
use crate::files::{Files, field, number_list};

/// CPU time that a control group may use.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuQuota {
    /// Average number of CPUs, such as 1.5.
    pub cpus: f64,
    /// The file that it was read from.
    pub source: String,
}

/// The CPUs that this process may use.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLimits {
    /// Hardware threads that it may run on.
    pub hardware_threads: usize,
    /// The file or system call with the hardware threads.
    pub hardware_threads_source: &'static str,
    /// Physical cores that these hardware threads belong to. On Apple Silicon the performance cores, because a parallel loop
    /// waits for its slowest thread.
    pub physical_cores: usize,
    /// The files or system call with the physical cores.
    pub physical_cores_source: &'static str,
    /// CPU quotas of the control group and its ancestors, innermost first.
    pub quotas: Vec<CpuQuota>,
}

impl CpuLimits {
    /// Reads the limits of this thread.
    pub fn read() -> Self {
        #[cfg(target_os = "linux")]
        if let Some(limits) = Self::read_under(Path::new("/")) {
            return limits;
        }
        let hardware_threads = available_parallelism().map_or(1, usize::from);
        let cores = performance_cores();
        Self {
            hardware_threads,
            hardware_threads_source: "available_parallelism",
            physical_cores: cores
                .map_or(hardware_threads, |cores| cores.clamp(1, hardware_threads)),
            physical_cores_source: if cores.is_some() {
                "sysctl hw.perflevel0.physicalcpu"
            } else {
                "available_parallelism"
            },
            quotas: Vec::new(),
        }
    }

    /// Reads the limits from the files that Linux has, in `proc` and `sys` below `root`: the affinity mask, which includes the
    /// cpuset, the siblings of each hardware thread, and the quotas of control groups. `None` without an affinity mask.
    pub fn read_under(root: &Path) -> Option<Self> {
        let files = Files::below(root);
        // A thread has its own mask.
        let (source, status) = [
            (
                "/proc/thread-self/status",
                "Cpus_allowed_list of /proc/thread-self/status",
            ),
            (
                "/proc/self/status",
                "Cpus_allowed_list of /proc/self/status",
            ),
        ]
        .into_iter()
        .find_map(|(path, source)| Some((source, files.read(path)?)))?;
        let allowed = number_list(field(&status, "Cpus_allowed_list")?);
        if allowed.is_empty() {
            return None;
        }
        let cores: BTreeSet<String> = allowed
            .iter()
            .map(|cpu| {
                let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
                files
                    .read(&format!("{topology}/thread_siblings_list"))
                    .unwrap_or_else(|| cpu.to_string())
            })
            .collect();
        Some(Self {
            hardware_threads: allowed.len(),
            hardware_threads_source: source,
            physical_cores: cores.len(),
            physical_cores_source: "/sys/devices/system/cpu/cpu*/topology/thread_siblings_list",
            quotas: quotas(files),
        })
    }

    /// The smallest quota.
    pub fn quota(&self) -> Option<&CpuQuota> {
        self.quotas.iter().min_by(|a, b| a.cpus.total_cmp(&b.cpus))
    }

    /// The default number of compute threads: one per physical core, but not more than the CPU quota, rounded down. With more,
    /// all threads would be stopped before the end of each period.
    pub fn threads(&self) -> usize {
        let quota = self.quota().map_or(usize::MAX, |quota| quota.cpus as usize);
        self.physical_cores.min(quota).max(1)
    }
}

fn quotas(files: Files<'_>) -> Vec<CpuQuota> {
    let mut quotas = Vec::new();
    for hierarchy in hierarchies(files, "cpu") {
        for directory in &hierarchy.directories {
            let (source, quota) = match hierarchy.version {
                Version::V1 => {
                    let source = format!("{directory}/cpu.cfs_quota_us");
                    // −1 without a quota.
                    let quota = files.number(&source);
                    let period = files.number(&format!("{directory}/cpu.cfs_period_us"));
                    (source, quota.zip(period))
                }
                Version::V2 => {
                    let source = format!("{directory}/cpu.max");
                    let quota = files.read(&source).and_then(|text| {
                        // "max" without a quota.
                        let (quota, period) = text.split_once(' ')?;
                        Some((quota.parse().ok()?, period.trim().parse().ok()?))
                    });
                    (source, quota)
                }
            };
            if let Some((quota, period)) = quota
                && period > 0
            {
                quotas.push(CpuQuota {
                    cpus: quota as f64 / period as f64,
                    source,
                });
            }
        }
    }
    quotas
}

#[cfg(target_os = "macos")]
fn performance_cores() -> Option<usize> {
    [c"hw.perflevel0.physicalcpu", c"hw.physicalcpu"]
        .into_iter()
        .find_map(crate::macos::sysctl_number)
        .and_then(|cores| usize::try_from(cores).ok())
}

#[cfg(not(target_os = "macos"))]
fn performance_cores() -> Option<usize> {
    None
}
