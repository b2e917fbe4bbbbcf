//! The limits of this machine and this process, each with its source.

use std::path::Path;

use indicatif::DecimalBytes;
use mlxm_engine::MachineMemory;
use mlxm_hub::HubConfig;
use mlxm_machine::{CpuLimits, MemoryLimits, caches};
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::{self, Context};
use crate::output::Section;

/// A limit and where it comes from.
#[derive(Debug, Serialize)]
pub struct Limit {
    name: String,
    /// A number of `unit`.
    value: Value,
    unit: &'static str,
    /// A file, a system call or an option.
    source: String,
    #[serde(skip)]
    text: String,
}

impl Limit {
    fn bytes(name: impl Into<String>, bytes: u64, source: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: json!(bytes),
            unit: "bytes",
            source: source.into(),
            text: DecimalBytes(bytes).to_string(),
        }
    }

    fn count(name: &str, count: usize, source: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: json!(count),
            unit: "count",
            source: source.into(),
            text: count.to_string(),
        }
    }
}

/// The limits as a table.
pub fn table(limits: &[Limit]) -> Section {
    let mut table = Section::table(&["limit", "value", "source"]);
    for limit in limits {
        table.row([limit.name.clone(), limit.text.clone(), limit.source.clone()]);
    }
    table
}

/// Limits of memory and CPUs, and the defaults that follow from them.
pub fn of_machine(context: &Context) -> Vec<Limit> {
    let mut limits = of_memory(context, &MemoryLimits::read());
    limits.extend(of_cpus(&CpuLimits::read(), context.load_options().threads));
    limits.extend(caches().into_iter().map(|cache| {
        let name = format!("L{} {} cache", cache.level, cache.kind);
        let limit = Limit::bytes(name, cache.size_bytes, cache.source);
        match cache.shared_by {
            Some(threads) if threads > 1 => Limit {
                text: format!("{}, shared by {threads} hardware threads", limit.text),
                ..limit
            },
            _ => limit,
        }
    }));
    limits
}

fn of_memory(context: &Context, memory: &MemoryLimits) -> Vec<Limit> {
    let mut limits: Vec<Limit> = memory
        .limits()
        .iter()
        .map(|found| {
            let limit = Limit::bytes(found.name.as_str(), found.bytes, found.source.as_str());
            match found.available_bytes {
                Some(bytes) => Limit {
                    text: format!("{}, {} available", limit.text, DecimalBytes(bytes)),
                    ..limit
                },
                None => limit,
            }
        })
        .collect();
    let default = MachineMemory::from_limits(memory).map(MachineMemory::model_budget_bytes);
    limits.extend(context.memory_budget_bytes().map(|bytes| {
        let source = match memory.smallest() {
            Some(smallest) if default == Some(bytes) => format!("80 % of {}", smallest.source),
            _ => "--memory".to_owned(),
        };
        Limit::bytes("model memory", bytes, source)
    }));
    limits
}

fn of_cpus(cpus: &CpuLimits, threads_option: Option<usize>) -> Vec<Limit> {
    let mut limits = vec![
        Limit::count(
            "hardware threads",
            cpus.hardware_threads,
            cpus.hardware_threads_source,
        ),
        Limit::count(
            "physical cores",
            cpus.physical_cores,
            cpus.physical_cores_source,
        ),
    ];
    limits.extend(cpus.quotas.iter().map(|quota| Limit {
        name: quota_name(&quota.source),
        value: json!(quota.cpus),
        unit: "CPUs",
        source: quota.source.clone(),
        text: format!("{:.2} CPUs", quota.cpus),
    }));
    limits.push(match (threads_option, cpus.quota()) {
        (Some(threads), _) => Limit::count("compute threads", threads, "--threads"),
        (None, Some(quota)) if cpus.threads() < cpus.physical_cores => {
            Limit::count("compute threads", cpus.threads(), quota.source.as_str())
        }
        (None, _) => Limit::count("compute threads", cpus.threads(), "physical cores"),
    });
    limits
}

/// The name of the quota in the file at `source`, in which its control group tells it from those of nested groups.
fn quota_name(source: &str) -> String {
    let group = source.rsplit_once('/').map_or(source, |(group, _)| group);
    format!("CPU quota of the control group {group}")
}

/// Free disk space for each directory with models or program data.
pub fn of_disks(config: &HubConfig) -> Vec<Limit> {
    [
        (
            "free disk space of the model cache",
            Some(config.cache_dir.clone()),
        ),
        (
            "free disk space of local models",
            Some(config.models_dir.clone()),
        ),
        ("free disk space of program data", context::home()),
    ]
    .into_iter()
    .filter_map(|(name, path)| {
        let path = path?;
        let bytes = config.disk.available_bytes(existing(&path)).ok()?;
        Some(Limit::bytes(name, bytes, path.display().to_string()))
    })
    .collect()
}

/// The directory itself or its nearest existing ancestor.
pub fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlxm_machine::CpuQuota;

    fn compute_threads(quotas: Vec<CpuQuota>, option: Option<usize>) -> (Value, String) {
        let cpus = CpuLimits {
            hardware_threads: 8,
            hardware_threads_source: "mask",
            physical_cores: 4,
            physical_cores_source: "siblings",
            quotas,
        };
        let limit = of_cpus(&cpus, option).pop().unwrap();
        assert_eq!(limit.name, "compute threads");
        (limit.value, limit.source)
    }

    #[test]
    fn quotas_of_nested_groups_have_different_names() {
        let quotas = ["/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/cpu.max"];
        let cpus = CpuLimits {
            quotas: Vec::from(quotas.map(|source| CpuQuota {
                cpus: 2.0,
                source: source.to_owned(),
            })),
            ..CpuLimits::read()
        };
        let limits = of_cpus(&cpus, None);
        let names: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
        assert!(
            names.contains(&"CPU quota of the control group /sys/fs/cgroup/a/b")
                && names.contains(&"CPU quota of the control group /sys/fs/cgroup/a"),
            "{names:?}"
        );
    }

    #[test]
    fn source_of_the_thread_count_is_what_determines_it() {
        let quota = |cpus| {
            vec![CpuQuota {
                cpus,
                source: "/cpu.max".to_owned(),
            }]
        };
        assert_eq!(
            compute_threads(Vec::new(), None),
            (json!(4), "physical cores".to_owned())
        );
        assert_eq!(
            compute_threads(quota(2.5), None),
            (json!(2), "/cpu.max".to_owned())
        );
        assert_eq!(
            compute_threads(quota(16.0), None),
            (json!(4), "physical cores".to_owned())
        );
        assert_eq!(
            compute_threads(quota(2.5), Some(7)),
            (json!(7), "--threads".to_owned())
        );
    }
}
