//! Limits read from made-up trees of `/proc` and `/sys`.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod cpu;
mod memory;
mod ports;
mod pressure;

use std::fs;

use tempfile::TempDir;

/// A root directory with these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

/// 16 GiB, of which 12 are available.
const MEMINFO: (&str, &str) = (
    "proc/meminfo",
    "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n",
);

/// Mounts of a system with version 1 only.
const MOUNTS_V1: (&str, &str) = (
    "proc/self/mountinfo",
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
     32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
     35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n",
);

/// Mounts of a system with version 2 only.
const MOUNTS_V2: (&str, &str) = (
    "proc/self/mountinfo",
    "24 23 0:22 / /proc rw,nosuid - proc proc rw\n\
     31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
);
