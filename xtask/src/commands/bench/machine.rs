//! The machine a benchmark runs on, and its load.

use crate::process;
use mlxm_machine::{CpuLimits, MemoryLimits, instruction_sets};
use serde::Serialize;
use std::fs;
use std::time::Duration;

/// Properties of the machine that results depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub hardware_threads: usize,
    /// Vector extensions that matter for matrix products.
    pub instructions: Vec<&'static str>,
    pub memory_bytes: Option<u64>,
    pub system: String,
    pub kernel: String,
    pub architecture: &'static str,
}

impl Machine {
    pub fn read() -> Self {
        let cpus = CpuLimits::read();
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown CPU".to_owned()),
            cores: cpus.physical_cores,
            hardware_threads: cpus.hardware_threads,
            instructions: instruction_sets(),
            memory_bytes: MemoryLimits::read().physical_bytes(),
            system: system(),
            kernel: output_of("uname", &["-sr"]).unwrap_or_default(),
            architecture: std::env::consts::ARCH,
        }
    }

    /// A short name for result files: letters, digits and hyphens.
    pub fn slug(&self) -> String {
        let words: String = self
            .cpu
            .to_lowercase()
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    ' '
                }
            })
            .collect();
        let words: Vec<&str> = words
            .split_whitespace()
            .filter(|word| !matches!(*word, "r" | "tm" | "cpu" | "processor"))
            .take(4)
            .collect();
        format!("{}-{}-cores", words.join("-"), self.cores)
    }
}

/// The load average of the last minute.
pub fn load_average() -> Option<f64> {
    let text = if cfg!(target_os = "linux") {
        fs::read_to_string("/proc/loadavg").ok()?
    } else {
        output_of("sysctl", &["-n", "vm.loadavg"])?
    };
    first_number(&text)
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().find_map(|word| word.parse().ok())
}

/// Time of all CPUs since boot, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuTime {
    busy: u64,
    total: u64,
    cpus: usize,
}

impl CpuTime {
    /// `None` if the system does not report it.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let ticks: Vec<u64> = text
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace()
            .map_while(|number| number.parse().ok())
            .take(8)
            .collect();
        // The order of proc(5).
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else {
            return None;
        };
        let busy = user + nice + system + irq + softirq + steal;
        let is_cpu = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
        };
        Some(Self {
            busy,
            total: busy + idle + iowait,
            cpus: text.lines().filter(is_cpu).count(),
        })
    }

    /// CPUs used since `before` by other programs than one with a CPU time of `own`, on average over `wall`.
    pub fn others_since(&self, before: &Self, own: Duration, wall: Duration) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1) as f64;
        let busy = self.busy.saturating_sub(before.busy) as f64 / total * self.cpus as f64;
        (busy - own.as_secs_f64() / wall.as_secs_f64().max(1e-9)).max(0.0)
    }
}

fn cpu() -> Option<String> {
    if cfg!(target_os = "macos") {
        return output_of("sysctl", &["-n", "machdep.cpu.brand_string"]);
    }
    let name = field_in_file("/proc/cpuinfo", "model name");
    name.or_else(|| {
        let listing = output_of("lscpu", &[])?;
        field(&listing, "Model name")
    })
}

fn system() -> String {
    if cfg!(target_os = "macos") {
        let version = output_of("sw_vers", &["-productVersion"]).unwrap_or_default();
        return format!("macOS {version}");
    }
    fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| {
            let name = text
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(name.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| std::env::consts::OS.to_owned())
}

fn field_in_file(path: &str, name: &str) -> Option<String> {
    field(&fs::read_to_string(path).ok()?, name)
}

/// The value in the first line that reads `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The output of a program, if it succeeds.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    process::read(process::program(program).args(arguments)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_average_is_read_on_linux_and_macos() {
        assert_eq!(first_number("0.35 0.87 1.57 2/345 6789\n"), Some(0.35));
        assert_eq!(first_number("{ 1.23 1.45 1.67 }"), Some(1.23));
        assert_eq!(first_number(""), None);
    }

    #[test]
    fn cpu_time_of_other_programs_excludes_own() {
        let before =
            CpuTime::parse("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1 2\ncpu1 1 2\nintr 1\n").unwrap();
        // Two CPUs for one second: 200 ticks, of which 150 were busy.
        let after = CpuTime::parse("cpu  240 0 5 950 0 0 0 5 0 0\ncpu0 1 2\ncpu1 1 2\n").unwrap();
        let second = Duration::from_secs(1);
        let others = after.others_since(&before, second, second);
        assert!((others - 0.5).abs() < 1e-9, "{others}");
        assert_eq!(after.others_since(&before, 3 * second, second), 0.0);
        assert_eq!(CpuTime::parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn field_ignores_whitespace() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24684092 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24684092 kB"));
        assert_eq!(field(text, "absent"), None);
    }

    #[test]
    fn slug_is_a_file_name() {
        let mut machine = Machine::read();
        machine.cores = 8;
        machine.cpu = "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz".to_owned();
        assert_eq!(machine.slug(), "intel-xeon-e5-2680-8-cores");
        machine.cpu = "Apple M4 Max".to_owned();
        assert_eq!(machine.slug(), "apple-m4-max-8-cores");
    }

    #[test]
    fn read_finds_cpu_and_cores() {
        let machine = Machine::read();
        assert!(machine.cores >= 1 && machine.cores <= machine.hardware_threads);
        assert!(!machine.cpu.is_empty());
    }
}
