//! Memory pressure.

use mlxm_machine::{MemoryPressure, PressureLevel};

use super::{MOUNTS_V1, MOUNTS_V2, tree};

fn read(files: &[(&str, &str)]) -> Option<MemoryPressure> {
    MemoryPressure::read_under(tree(files).path())
}

fn stalled(percent: &str) -> String {
    format!(
        "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\nfull avg10={percent} avg60=0.00 avg300=0.00 total=1\n"
    )
}

#[test]
fn system_without_pressure_information_has_none() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[("proc/pressure/memory", "")]), None);
}

#[test]
fn pressure_of_the_system_counts_without_a_group() {
    let system = stalled("21.50");
    for mounts in [MOUNTS_V1, ("proc/self/other", "")] {
        let pressure = read(&[
            ("proc/pressure/memory", &*system),
            mounts,
            ("proc/self/cgroup", "4:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.pressure", "full avg10=90.00"),
        ])
        .unwrap();
        assert_eq!(pressure.level, PressureLevel::Critical);
        assert_eq!(pressure.stalled_percent, Some(21.5));
        assert_eq!(pressure.source, "/proc/pressure/memory");
    }
}

#[test]
fn higher_pressure_of_group_and_system_counts() {
    for (group, system, level, source) in [
        (
            "30.00",
            "0.00",
            PressureLevel::Critical,
            "/sys/fs/cgroup/a/b/memory.pressure",
        ),
        (
            "0.00",
            "6.00",
            PressureLevel::Elevated,
            "/proc/pressure/memory",
        ),
    ] {
        let (group, system, parent) = (stalled(group), stalled(system), stalled("80.00"));
        let pressure = read(&[
            ("proc/pressure/memory", &*system),
            MOUNTS_V2,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.pressure", &*group),
            // Another group can be short of its own memory.
            ("sys/fs/cgroup/a/memory.pressure", &*parent),
        ])
        .unwrap();
        assert_eq!((pressure.level, &*pressure.source), (level, source));
    }
}
