//! Whether the system is short of memory: pressure stall information (PSI) of Linux, the pressure level of macOS.

use std::path::Path;

use crate::cgroup::{Version, hierarchies};
use crate::files::{Files, field};

/// From this share of the time on, memory is getting short.
const ELEVATED_PERCENT: f64 = 5.0;

/// From this share of the time on, memory is short.
const CRITICAL_PERCENT: f64 = 20.0;

/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PressureLevel {
    /// There is enough.
    Normal,
    /// It is getting short: the system reclaims memory.
    Elevated,
    /// It is short: programs wait for memory.
    Critical,
}

/// The pressure on the memory of this process.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryPressure {
    /// How short memory is.
    pub level: PressureLevel,
    /// Percentage of the last 10 seconds in which all runnable tasks waited for memory; `None` on macOS.
    pub stalled_percent: Option<f64>,
    /// The file or system call that it was read from.
    pub source: String,
}

impl MemoryPressure {
    /// Reads the pressure; `None` if the system does not report it.
    pub fn read() -> Option<Self> {
        #[cfg(target_os = "linux")]
        {
            Self::read_under(Path::new("/"))
        }
        #[cfg(target_os = "macos")]
        {
            crate::macos::sysctl_number(c"kern.memorystatus_vm_pressure_level")
                .and_then(Self::from_macos)
        }
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        {
            None
        }
    }

    /// Reads the pressure from the files that Linux has, in `proc` and `sys` below `root`: that of the control group of the
    /// process and that of the whole system, of which the higher one counts.
    pub fn read_under(root: &Path) -> Option<Self> {
        let files = Files::below(root);
        let groups = hierarchies(files, "memory").into_iter();
        let own = groups
            .filter(|hierarchy| hierarchy.version == Version::V2)
            .filter_map(|hierarchy| {
                Some(format!(
                    "{}/memory.pressure",
                    hierarchy.directories.first()?
                ))
            });
        own.chain(["/proc/pressure/memory".to_owned()])
            .filter_map(|source| Some((stalled_percent(&files.read(&source)?)?, source)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(percent, source)| Self {
                level: level(percent),
                stalled_percent: Some(percent),
                source,
            })
    }

    /// The levels are those of `DISPATCH_MEMORYPRESSURE_NORMAL`, `_WARN` and `_CRITICAL`.
    #[cfg(any(target_os = "macos", test))]
    fn from_macos(value: u64) -> Option<Self> {
        let level = match value {
            1 => PressureLevel::Normal,
            2 => PressureLevel::Elevated,
            4 => PressureLevel::Critical,
            _ => return None,
        };
        Some(Self {
            level,
            stalled_percent: None,
            source: "sysctl kern.memorystatus_vm_pressure_level".to_owned(),
        })
    }
}

fn level(percent: f64) -> PressureLevel {
    if percent >= CRITICAL_PERCENT {
        PressureLevel::Critical
    } else if percent >= ELEVATED_PERCENT {
        PressureLevel::Elevated
    } else {
        PressureLevel::Normal
    }
}

/// `avg10` of the line `full avg10=0.12 avg60=0.05 avg300=0.00 total=1234`.
fn stalled_percent(text: &str) -> Option<f64> {
    let percent = field(text, "full")?
        .split_whitespace()
        .find_map(|part| part.strip_prefix("avg10="))?
        .parse::<f64>()
        .ok()?;
    percent.is_finite().then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_of_the_last_seconds_is_read() {
        let text = "some avg10=31.20 avg60=5.00 avg300=1.00 total=9\nfull avg10=12.34 avg60=2.00 avg300=0.50 total=7\n";
        assert_eq!(stalled_percent(text), Some(12.34));
        for text in [
            "",
            "full",
            "some avg10=1.00",
            "full avg60=1.00",
            "full avg10=x",
            "full avg10=NaN",
        ] {
            assert_eq!(stalled_percent(text), None, "{text}");
        }
    }

    #[test]
    fn levels_start_at_their_thresholds() {
        for (percent, expected) in [
            (0.0, PressureLevel::Normal),
            (4.99, PressureLevel::Normal),
            (5.0, PressureLevel::Elevated),
            (19.99, PressureLevel::Elevated),
            (20.0, PressureLevel::Critical),
            (100.0, PressureLevel::Critical),
        ] {
            assert_eq!(level(percent), expected, "{percent}");
        }
    }

    #[test]
    fn levels_of_macos_are_known() {
        let level = |value| MemoryPressure::from_macos(value).map(|pressure| pressure.level);
        assert_eq!(level(1), Some(PressureLevel::Normal));
        assert_eq!(level(2), Some(PressureLevel::Elevated));
        assert_eq!(level(4), Some(PressureLevel::Critical));
        assert_eq!(level(0), None);
    }
}
