//! Memory limits.

use std::path::Path;

use crate::cgroup::{Hierarchy, Version, hierarchies};
use crate::files::{Files, field, number_field};

/// Larger values of `memory.limit_in_bytes` mean that there is no limit: it is then the largest multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

/// The name of the limit that is the memory of the machine.
const PHYSICAL_MEMORY: &str = "physical memory";

/// A limit for the memory of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// What is limited. The limits of a process have different names.
    pub name: String,
    /// The limit.
    pub bytes: u64,
    /// What is left of it. Page cache, which is reclaimed on demand, does not count as used. `None` if unknown.
    pub available_bytes: Option<u64>,
    /// The file or system call that it was read from.
    pub source: String,
}

impl MemoryLimit {
    /// Whether this is the memory of the machine, which no setting raises.
    pub fn is_physical(&self) -> bool {
        self.name == PHYSICAL_MEMORY
    }
}

/// All memory limits of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    limits: Vec<MemoryLimit>,
}

impl MemoryLimits {
    /// Reads the limits of this process; there are none on unsupported systems.
    pub fn read() -> Self {
        #[cfg(target_os = "linux")]
        {
            Self::read_under(Path::new("/"))
        }
        #[cfg(not(target_os = "linux"))]
        {
            let mut system = sysinfo::System::new();
            system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
            let physical = MemoryLimit {
                name: PHYSICAL_MEMORY.to_owned(),
                bytes: system.total_memory(),
                available_bytes: Some(system.available_memory()),
                source: "sysctl hw.memsize".to_owned(),
            };
            Self {
                limits: Vec::from_iter((physical.bytes > 0).then_some(physical)),
            }
        }
    }

    /// Reads the limits from the files that Linux has, in `proc` and `sys` below `root`: physical memory, the control groups of
    /// the process and all their ancestors, and the maximum size of its address space.
    pub fn read_under(root: &Path) -> Self {
        let files = Files::below(root);
        let mut limits = Vec::from_iter(physical(files));
        for hierarchy in hierarchies(files, "memory") {
            match hierarchy.version {
                Version::V1 => limits.extend(limits_v1(files, &hierarchy)),
                Version::V2 => limits.extend(limits_v2(files, &hierarchy)),
            }
        }
        limits.extend(address_space(files));
        Self { limits }
    }

    /// The limits: physical memory first, then control groups from the innermost to the outermost, then the address space.
    pub fn limits(&self) -> &[MemoryLimit] {
        &self.limits
    }

    /// The smallest limit; `None` if no limit is known.
    pub fn smallest(&self) -> Option<&MemoryLimit> {
        self.limits.iter().min_by_key(|limit| limit.bytes)
    }

    /// What is left under all limits; `None` if no limit is known.
    pub fn available_bytes(&self) -> Option<u64> {
        self.limits
            .iter()
            .map(|limit| limit.available_bytes.unwrap_or(limit.bytes))
            .min()
    }

    /// Physical memory; `None` if unknown.
    pub fn physical_bytes(&self) -> Option<u64> {
        let physical = |limit: &&MemoryLimit| limit.is_physical();
        self.limits.iter().find(physical).map(|limit| limit.bytes)
    }
}

fn physical(files: Files<'_>) -> Option<MemoryLimit> {
    let source = "/proc/meminfo";
    let text = files.read(source)?;
    let bytes = |key| Some(number_field(&text, key)?.saturating_mul(1024));
    Some(MemoryLimit {
        name: PHYSICAL_MEMORY.to_owned(),
        bytes: bytes("MemTotal")?,
        available_bytes: bytes("MemAvailable"),
        source: source.to_owned(),
    })
}

/// A limit for the control group of `directory`; `kind` tells it from other limits of this group.
fn cgroup_limit(
    kind: &str,
    directory: &str,
    bytes: u64,
    used: Option<u64>,
    source: String,
) -> MemoryLimit {
    MemoryLimit {
        name: format!("{kind} of the control group {directory}"),
        bytes,
        available_bytes: used.map(|used| bytes.saturating_sub(used)),
        source,
    }
}

fn limits_v1(files: Files<'_>, hierarchy: &Hierarchy) -> Vec<MemoryLimit> {
    let mut limits = Vec::new();
    for (index, directory) in hierarchy.directories.iter().enumerate() {
        // Before Linux 5.11, a group is not limited by its parent unless the parent says so.
        let is_charged =
            index == 0 || files.number(&format!("{directory}/memory.use_hierarchy")) != Some(0);
        if !is_charged {
            break;
        }
        let source = format!("{directory}/memory.limit_in_bytes");
        if let Some(bytes) = files.number(&source).filter(|bytes| *bytes < UNLIMITED) {
            let used = used_v1(files, directory);
            limits.push(cgroup_limit("memory", directory, bytes, used, source));
        }
    }
    // The limit of ancestors that are not visible, as in a container.
    if let Some(own) = hierarchy.directories.first() {
        let source = format!("{own}/memory.stat");
        let visible = limits.iter().map(|limit| limit.bytes).min();
        let inherited = files
            .read(&source)
            .and_then(|stat| number_field(&stat, "hierarchical_memory_limit"))
            .filter(|bytes| *bytes < visible.unwrap_or(UNLIMITED));
        limits.extend(inherited.map(|bytes| {
            let used = used_v1(files, own);
            cgroup_limit("inherited memory", own, bytes, used, source)
        }));
    }
    limits
}

/// Memory of a group and its descendants that cannot be reclaimed.
fn used_v1(files: Files<'_>, directory: &str) -> Option<u64> {
    let used = files.number(&format!("{directory}/memory.usage_in_bytes"))?;
    let keys = ["total_active_file", "total_inactive_file"];
    Some(used.saturating_sub(reclaimable(files, directory, &keys)))
}

fn limits_v2(files: Files<'_>, hierarchy: &Hierarchy) -> Vec<MemoryLimit> {
    let mut limits = Vec::new();
    for directory in &hierarchy.directories {
        let used = files
            .number(&format!("{directory}/memory.current"))
            .map(|used| {
                let keys = ["active_file", "inactive_file", "slab_reclaimable"];
                used.saturating_sub(reclaimable(files, directory, &keys))
            });
        // A process beyond memory.max is killed, and one beyond memory.high is slowed down to a halt.
        for (name, kind) in [
            ("memory.max", "memory"),
            ("memory.high", "unthrottled memory"),
        ] {
            let source = format!("{directory}/{name}");
            // Without a limit, the file has the word "max".
            if let Some(bytes) = files.number(&source) {
                limits.push(cgroup_limit(kind, directory, bytes, used, source));
            }
        }
    }
    limits
}

/// The sum of these values of `memory.stat`.
fn reclaimable(files: Files<'_>, directory: &str, keys: &[&str]) -> u64 {
    let stat = files
        .read(&format!("{directory}/memory.stat"))
        .unwrap_or_default();
    keys.iter()
        .filter_map(|key| number_field(&stat, key))
        .fold(0, u64::saturating_add)
}

/// The limit of the size of the address space (`ulimit -v`), to which mapped weights count.
fn address_space(files: Files<'_>) -> Option<MemoryLimit> {
    let source = "/proc/self/limits";
    let text = files.read(source)?;
    let soft_limit = field(&text, "Max address space")?;
    let bytes = soft_limit.split_whitespace().next()?.parse().ok()?;
    let used = files
        .read("/proc/self/status")
        .and_then(|status| Some(number_field(&status, "VmSize")?.saturating_mul(1024)));
    Some(MemoryLimit {
        name: "address space".to_owned(),
        bytes,
        available_bytes: used.map(|used| bytes.saturating_sub(used)),
        source: source.to_owned(),
    })
}
