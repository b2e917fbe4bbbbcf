//! Memory limits.

use mlxm_machine::MemoryLimits;

use super::{MEMINFO, MOUNTS_V1, MOUNTS_V2, tree};

const MIB: u64 = 1 << 20;
/// The limit of a group of version 1 without a limit.
const NONE_V1: &str = "9223372036854771712\n";

fn read(files: &[(&str, &str)]) -> MemoryLimits {
    MemoryLimits::read_under(tree(files).path())
}

/// The smallest limit in MiB and its source.
fn smallest(limits: &MemoryLimits) -> (u64, &str) {
    let limit = limits.smallest().unwrap();
    (limit.bytes / MIB, &limit.source)
}

#[test]
fn without_groups_physical_memory_is_the_limit() {
    let limits = read(&[MEMINFO]);
    assert_eq!(smallest(&limits), (16 << 10, "/proc/meminfo"));
    assert_eq!(limits.available_bytes(), Some((12 << 10) * MIB));
    assert_eq!(limits.physical_bytes(), Some((16 << 10) * MIB));
    assert_eq!(limits.limits().len(), 1);

    let unknown = read(&[]);
    assert_eq!(unknown.smallest(), None);
    assert_eq!(unknown.available_bytes(), None);
}

#[test]
fn group_of_version_1_limits_its_process() {
    let limits = read(&[
        MEMINFO,
        MOUNTS_V1,
        ("proc/self/cgroup", "4:memory:/a\n1:cpu,cpuacct:/\n0::/\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", NONE_V1),
        (
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "314572800\n",
        ),
        (
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes",
            "209715200\n",
        ),
        (
            "sys/fs/cgroup/memory/a/memory.stat",
            "cache 104857600\nactive_file 1\ntotal_inactive_file 52428800\ntotal_active_file 52428800\n",
        ),
    ]);
    assert_eq!(
        smallest(&limits),
        (300, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes")
    );
    // 200 MiB are used, 100 of them as page cache.
    assert_eq!(limits.available_bytes(), Some(200 * MIB));
    assert_eq!(limits.limits().len(), 2, "{limits:?}");
}

#[test]
fn ancestors_of_version_1_limit_their_descendants() {
    let mut files = vec![
        MEMINFO,
        MOUNTS_V1,
        ("proc/self/cgroup", "4:memory:/a/b/c\n"),
        ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "314572800"),
        ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", NONE_V1),
        (
            "sys/fs/cgroup/memory/a/b/c/memory.limit_in_bytes",
            "629145600",
        ),
    ];
    assert_eq!(
        smallest(&read(&files)),
        (300, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes")
    );
    // Not if the hierarchy is off, as it can be before Linux 5.11.
    files.push(("sys/fs/cgroup/memory/a/b/memory.use_hierarchy", "0\n"));
    assert_eq!(
        smallest(&read(&files)),
        (600, "/sys/fs/cgroup/memory/a/b/c/memory.limit_in_bytes")
    );
}

#[test]
fn limit_of_an_invisible_ancestor_is_inherited() {
    // A container without a namespace: the root of the mount is its own group.
    let limits = read(&[
        MEMINFO,
        (
            "proc/self/mountinfo",
            "35 31 0:32 /docker/0af3 /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n",
        ),
        ("proc/self/cgroup", "4:memory:/docker/0af3\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "629145600"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600"),
        (
            "sys/fs/cgroup/memory/memory.stat",
            "hierarchical_memory_limit 524288000\ntotal_active_file 0\n",
        ),
    ]);
    assert_eq!(
        smallest(&limits),
        (500, "/sys/fs/cgroup/memory/memory.stat")
    );
    assert_eq!(limits.available_bytes(), Some(400 * MIB));
}

#[test]
fn every_level_of_version_2_counts() {
    let mut files = vec![
        MEMINFO,
        MOUNTS_V2,
        ("proc/self/cgroup", "0::/user.slice/app.slice/run-1.scope\n"),
        ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ("sys/fs/cgroup/user.slice/memory.current", "4194304000\n"),
        (
            "sys/fs/cgroup/user.slice/app.slice/memory.max",
            "1048576000\n",
        ),
        (
            "sys/fs/cgroup/user.slice/app.slice/memory.current",
            "943718400\n",
        ),
        (
            "sys/fs/cgroup/user.slice/app.slice/memory.stat",
            "anon 419430400\nfile 524288000\ninactive_file 209715200\nactive_file 209715200\nslab_reclaimable 104857600\n",
        ),
        (
            "sys/fs/cgroup/user.slice/app.slice/run-1.scope/memory.max",
            "2097152000\n",
        ),
        (
            "sys/fs/cgroup/user.slice/app.slice/run-1.scope/memory.current",
            "104857600\n",
        ),
    ];
    let limits = read(&files);
    assert_eq!(
        smallest(&limits),
        (1000, "/sys/fs/cgroup/user.slice/app.slice/memory.max")
    );
    // 900 MiB are used, of which 500 can be reclaimed.
    assert_eq!(limits.available_bytes(), Some(600 * MIB));

    files.push(("sys/fs/cgroup/user.slice/memory.high", "524288000\n"));
    assert_eq!(
        smallest(&read(&files)),
        (500, "/sys/fs/cgroup/user.slice/memory.high")
    );
}

#[test]
fn limits_of_nested_groups_have_different_names() {
    let group = "sys/fs/cgroup/user.slice";
    let path = |name: &str| format!("{group}/{name}");
    let paths = ["memory.max", "memory.high", "a/memory.max", "a/memory.high"].map(path);
    let mut files = vec![
        MEMINFO,
        MOUNTS_V2,
        ("proc/self/cgroup", "0::/user.slice/a\n"),
    ];
    files.extend(paths.iter().map(|path| (path.as_str(), "1048576000\n")));
    let limits = read(&files);
    let names: Vec<&str> = limits
        .limits()
        .iter()
        .map(|limit| limit.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "physical memory",
            "memory of the control group /sys/fs/cgroup/user.slice/a",
            "unthrottled memory of the control group /sys/fs/cgroup/user.slice/a",
            "memory of the control group /sys/fs/cgroup/user.slice",
            "unthrottled memory of the control group /sys/fs/cgroup/user.slice",
        ]
    );
}

#[test]
fn namespace_has_its_limit_at_the_mount_point() {
    for path in ["/", "/../sibling"] {
        let limits = read(&[
            MEMINFO,
            MOUNTS_V2,
            ("proc/self/cgroup", format!("0::{path}\n").as_str()),
            ("sys/fs/cgroup/memory.max", "314572800\n"),
        ]);
        assert_eq!(
            smallest(&limits),
            (300, "/sys/fs/cgroup/memory.max"),
            "{path}"
        );
    }
}

#[test]
fn hybrid_system_has_the_controller_in_version_1() {
    let limits = read(&[
        MEMINFO,
        (
            "proc/self/mountinfo",
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        ),
        (
            "proc/self/cgroup",
            "9:name=systemd:/user.slice/x\n4:memory:/user.slice\n0::/user.slice/x\n",
        ),
        (
            "sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes",
            "314572800",
        ),
        ("sys/fs/cgroup/unified/user.slice/x/cgroup.procs", "1\n"),
    ]);
    assert_eq!(smallest(&limits).0, 300);
}

#[test]
fn mount_point_with_spaces_is_decoded() {
    let limits = read(&[
        MEMINFO,
        (
            "proc/self/mountinfo",
            "31 23 0:28 / /mnt/control\\040groups rw - cgroup2 none rw\n",
        ),
        ("proc/self/cgroup", "0::/a\n"),
        ("mnt/control groups/a/memory.max", "314572800"),
    ]);
    assert_eq!(smallest(&limits), (300, "/mnt/control groups/a/memory.max"));
}

#[test]
fn address_space_is_a_limit() {
    let limits = read(&[
        MEMINFO,
        (
            "proc/self/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max data size             unlimited            unlimited            bytes     \n\
             Max address space         6144000000           unlimited            bytes     \n",
        ),
        ("proc/self/status", "Name:\tx\nVmSize:\t 1000000 kB\n"),
    ]);
    let smallest = limits.smallest().unwrap();
    assert_eq!(smallest.bytes, 6_144_000_000);
    assert_eq!(smallest.source, "/proc/self/limits");
    assert_eq!(
        limits.available_bytes(),
        Some(6_144_000_000 - 1_024_000_000)
    );
}

#[test]
fn damaged_files_are_no_limits() {
    let limits = read(&[
        MEMINFO,
        (
            "proc/self/mountinfo",
            "31\n35 31 - cgroup2\n - \n\u{fffd} x - cgroup2 a rw\n",
        ),
        ("proc/self/cgroup", "::\n0:\nx\n0::/a\n"),
        ("proc/self/limits", "Max address space\n"),
    ]);
    assert_eq!(limits.limits().len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn this_machine_has_memory() {
    let limits = MemoryLimits::read();
    let smallest = limits.smallest().unwrap();
    assert!(smallest.bytes > 64 * MIB, "{limits:?}");
    assert!(limits.available_bytes().unwrap() <= smallest.bytes);
}
