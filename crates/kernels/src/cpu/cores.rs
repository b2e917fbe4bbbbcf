//! The number of physical cores.

use std::thread::available_parallelism;

/// Physical cores this process may use; on Apple Silicon the performance cores, since a loop waits for its slowest
/// thread.
pub(crate) fn physical() -> usize {
    let logical = available_parallelism().map_or(1, usize::from);
    count().map_or(logical, |cores| cores.clamp(1, logical))
}

/// Counts the sets of hardware threads that share a core.
#[cfg(target_os = "linux")]
fn count() -> Option<usize> {
    let mut cores = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir("/sys/devices/system/cpu").ok()?.flatten() {
        let siblings = entry.path().join("topology/thread_siblings_list");
        if let Ok(siblings) = std::fs::read_to_string(siblings) {
            cores.insert(siblings);
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(target_os = "macos")]
fn count() -> Option<usize> {
    [c"hw.perflevel0.physicalcpu", c"hw.physicalcpu"]
        .into_iter()
        .find_map(|name| {
            let mut cores: libc::c_int = 0;
            let mut size = size_of_val(&cores);
            // SAFETY: `name` is a C string, `cores` is writable for `size` bytes, and no new value is passed.
            let status = unsafe {
                libc::sysctlbyname(
                    name.as_ptr(),
                    (&raw mut cores).cast(),
                    &raw mut size,
                    std::ptr::null_mut(),
                    0,
                )
            };
            if status == 0 {
                usize::try_from(cores).ok()
            } else {
                None
            }
        })
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn count() -> Option<usize> {
    None
}
