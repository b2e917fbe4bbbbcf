//! Caches and instruction sets of the CPU.

use std::path::Path;

use crate::files::{Files, number_list};

/// A cache of the first CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// 1 for the fastest.
    pub level: u32,
    /// `data`, `instruction` or `unified`.
    pub kind: String,
    /// Its size.
    pub size_bytes: u64,
    /// Hardware threads that share it; `None` if unknown.
    pub shared_by: Option<usize>,
    /// The directory or system call that it was read from.
    pub source: String,
}

/// The caches of the first CPU; none on unsupported systems.
pub fn caches() -> Vec<Cache> {
    #[cfg(target_os = "linux")]
    {
        caches_under(Path::new("/"))
    }
    #[cfg(target_os = "macos")]
    {
        [
            (1, "data", c"hw.l1dcachesize"),
            (1, "instruction", c"hw.l1icachesize"),
            (2, "unified", c"hw.l2cachesize"),
            (3, "unified", c"hw.l3cachesize"),
        ]
        .into_iter()
        .filter_map(|(level, kind, name)| {
            let size_bytes = crate::macos::sysctl_number(name).filter(|size| *size > 0)?;
            Some(Cache {
                level,
                kind: kind.to_owned(),
                size_bytes,
                shared_by: None,
                source: format!("sysctl {}", name.to_string_lossy()),
            })
        })
        .collect()
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        Vec::new()
    }
}

/// The caches according to the files that Linux has, in `sys` below `root`.
pub fn caches_under(root: &Path) -> Vec<Cache> {
    let files = Files::below(root);
    (0_usize..)
        .map_while(|index| {
            let source = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
            let read = |name: &str| files.read(&format!("{source}/{name}"));
            let shared = read("shared_cpu_list").map(|list| number_list(&list).len());
            Some(Cache {
                level: read("level")?.parse().ok()?,
                kind: read("type")?.to_lowercase(),
                size_bytes: size_bytes(&read("size")?)?,
                shared_by: shared.filter(|threads| *threads > 0),
                source,
            })
        })
        .collect()
}

/// The bytes of a size such as `32K`.
fn size_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
        None => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// SIMD extensions of the CPU that matter for matrix multiplication.
pub fn instruction_sets() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($name:tt),*) => {$(
                if std::arch::is_x86_feature_detected!($name) {
                    found.push($name);
                }
            )*};
        }
        detect!(
            "avx",
            "avx2",
            "fma",
            "f16c",
            "avxvnni",
            "avx512f",
            "avx512bw",
            "avx512vl",
            "avx512vnni",
            "avx512bf16"
        );
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! detect {
            ($($name:tt),*) => {$(
                if std::arch::is_aarch64_feature_detected!($name) {
                    found.push($name);
                }
            )*};
        }
        detect!("neon", "fp16", "dotprod", "i8mm", "bf16", "sve");
    }
    found
}
