//! Memory for the stacks of fibers.

use super::STACKS_BYTES;
use std::ffi::c_void;
use std::io;
use std::ptr;

/// Bytes reserved for the context, in front of the stacks.
const CONTEXT_BYTES: usize = 4096;

/// Distance of two stacks. Not a power of two: the ends of all stacks would compete for the same sets of the CPU's caches.
const STACK_BYTES: usize = 112 * 1024 + 4096 + 320;

/// At the low end of each stack, and at least a page of the operating system.
const GUARD_BYTES: usize = 16 * 1024;

/// A mapping that is aligned to its size, so that code finds its start from the stack pointer. Pages that are never used take no memory.
pub struct Stacks {
    mapping: *mut c_void,
    start: *mut c_void,
    guarded: usize,
}

impl Stacks {
    /// Number of stacks: two threadgroups of the maximum size.
    pub const COUNT: usize = 2 * 1024;

    pub fn new() -> io::Result<Self> {
        const {
            assert!(CONTEXT_BYTES + Self::COUNT * STACK_BYTES <= STACKS_BYTES);
        }
        // SAFETY: asks for new memory.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * STACKS_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let offset = mapping.cast::<u8>().align_offset(STACKS_BYTES);
        // SAFETY: the offset is less than the half of the mapping.
        let start = unsafe { mapping.byte_add(offset) };
        Ok(Self {
            mapping,
            start,
            guarded: 0,
        })
    }

    /// The memory in front of the stacks, where the context is.
    pub fn start(&self) -> *mut c_void {
        self.start
    }

    /// Makes accesses below the first `count` stacks fault.
    pub fn guard(&mut self, count: usize) -> io::Result<()> {
        while self.guarded < count {
            let bottom = CONTEXT_BYTES + self.guarded * STACK_BYTES;
            // SAFETY: inside of the stack, which is larger than two guards.
            let result = unsafe {
                let guard = self.start.byte_add(bottom.next_multiple_of(GUARD_BYTES));
                libc::mprotect(guard, GUARD_BYTES, libc::PROT_NONE)
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            self.guarded += 1;
        }
        Ok(())
    }

    /// The end of a stack, aligned to 16 bytes.
    pub fn top(&self, index: usize) -> *mut c_void {
        assert!(index < Self::COUNT);
        // SAFETY: within the mapping, as `new` asserts.
        unsafe {
            self.start
                .byte_add(CONTEXT_BYTES + (index + 1) * STACK_BYTES)
        }
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which no code runs on any more.
        unsafe {
            libc::munmap(self.mapping, 2 * STACKS_BYTES);
        }
    }
}
