//! CPU limits and caches.

use mlxm_machine::{CpuLimits, caches_under};

use super::{MOUNTS_V1, MOUNTS_V2, tree};

fn read(files: &[(&str, &str)]) -> CpuLimits {
    CpuLimits::read_under(tree(files).path()).unwrap()
}

/// Four cores with two hardware threads each: 0 and 4, 1 and 5, 2 and 6, 3 and 7. `allowed` is the affinity mask.
fn eight_threads(allowed: &str) -> Vec<(String, String)> {
    let mut files = vec![(
        "proc/thread-self/status".to_owned(),
        format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\n"),
    )];
    for cpu in 0..8 {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        files.push((path, format!("{},{}\n", cpu % 4, cpu % 4 + 4)));
    }
    files
}

fn read_with(topology: &[(String, String)], more: &[(&str, &str)]) -> CpuLimits {
    let mut files: Vec<(&str, &str)> = topology
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    files.extend(more);
    read(&files)
}

#[test]
fn siblings_in_the_mask_are_one_core() {
    for (allowed, threads, cores) in [
        ("0-7", 8, 4),
        ("0-3", 4, 4),
        ("0,4", 2, 1),
        ("0-1,4-5", 4, 2),
        ("3", 1, 1),
        ("0,4-7", 5, 4),
    ] {
        let limits = read_with(&eight_threads(allowed), &[]);
        assert_eq!(limits.hardware_threads, threads, "{allowed}");
        assert_eq!(limits.physical_cores, cores, "{allowed}");
        assert_eq!(limits.threads(), cores, "{allowed}");
    }
}

#[test]
fn without_topology_every_hardware_thread_is_a_core() {
    let limits = read(&[("proc/self/status", "Cpus_allowed_list:\t0-5\n")]);
    assert_eq!((limits.hardware_threads, limits.physical_cores), (6, 6));
    assert!(limits.hardware_threads_source.contains("/proc/self/status"));
}

#[test]
fn without_a_mask_there_are_no_limits() {
    for content in ["", "Cpus_allowed_list:\t\n", "Cpus_allowed_list:\tall\n"] {
        let root = tree(&[("proc/self/status", content)]);
        assert_eq!(CpuLimits::read_under(root.path()), None, "{content:?}");
    }
}

#[test]
fn quota_of_version_2_limits_the_threads() {
    for (max, threads) in [
        ("max 100000", 4),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 4),
        ("100000 0", 4),
        ("100000", 4),
    ] {
        let limits = read_with(
            &eight_threads("0-7"),
            &[
                MOUNTS_V2,
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/cpu.max", max),
                ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(limits.threads(), threads, "{max}");
    }
}

#[test]
fn smallest_quota_of_all_levels_of_version_1_counts() {
    let limits = read_with(
        &eight_threads("0-7"),
        &[
            MOUNTS_V1,
            ("proc/self/cgroup", "4:memory:/\n1:cpu,cpuacct:/a/b\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "800000\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us",
                "100000\n",
            ),
        ],
    );
    assert_eq!(limits.quotas.len(), 2);
    let quota = limits.quota().unwrap();
    assert_eq!(quota.cpus, 3.0);
    assert_eq!(
        quota.source,
        "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us"
    );
    assert_eq!(limits.threads(), 3);
}

#[test]
fn caches_are_listed_until_the_first_gap() {
    let index = |number: usize, name: &str| {
        format!("sys/devices/system/cpu/cpu0/cache/index{number}/{name}")
    };
    let mut files = Vec::new();
    for (number, level, kind, size) in [
        (0, "1", "Data", "32K"),
        (1, "1", "Instruction", "64K"),
        (2, "2", "Unified", "1024K"),
        (4, "3", "Unified", "36M"),
    ] {
        files.push((index(number, "level"), level));
        files.push((index(number, "type"), kind));
        files.push((index(number, "size"), size));
        files.push((index(number, "shared_cpu_list"), "0,4\n"));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), *content))
        .collect();
    let caches = caches_under(tree(&files).path());
    let found: Vec<(u32, &str, u64)> = caches
        .iter()
        .map(|cache| (cache.level, cache.kind.as_str(), cache.size_bytes >> 10))
        .collect();
    assert_eq!(
        found,
        [
            (1, "data", 32),
            (1, "instruction", 64),
            (2, "unified", 1024)
        ]
    );
    assert_eq!(caches[0].shared_by, Some(2));
}

#[test]
fn this_machine_has_a_core() {
    let limits = CpuLimits::read();
    assert!(limits.threads() >= 1);
    assert!(limits.physical_cores <= limits.hardware_threads);
}
