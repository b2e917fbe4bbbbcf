//! System information of macOS.

use std::ffi::CStr;

/// The integer `name` of sysctl.
pub(crate) fn sysctl_number(name: &CStr) -> Option<u64> {
    // Values have 32 or 64 bits; the machines are little-endian.
    let mut value: u64 = 0;
    let mut size = size_of_val(&value);
    // SAFETY: `name` is a C string, `value` is writable for `size` bytes, and no new value is passed.
    let status = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            (&raw mut value).cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    (status == 0).then_some(value)
}
