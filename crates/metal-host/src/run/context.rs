//! What the executor shares with running kernels; mirrors src/shim/runtime.h.

use super::STACKS_BYTES;
use super::scheduler::Scheduler;
use super::switch::stack_pointer;
use std::ffi::{c_char, c_void};

/// Lanes of a simdgroup.
pub const SIMD_WIDTH: usize = 32;

/// Bytes of each half of `Simdgroup::slots`.
const SLOTS_BYTES: usize = 4096;

/// Values that the lanes of one simdgroup exchange.
#[repr(C, align(64))]
pub struct Simdgroup {
    slots: [[u8; SLOTS_BYTES]; 2],
    result: [u8; 256],
    /// The half that lanes write to.
    incoming: u32,
    /// Lanes that took part in the last operation.
    active: u32,
    /// Whether `result` is that of the last operation.
    computed: u32,
}

impl Simdgroup {
    pub fn new() -> Self {
        Self {
            slots: [[0; SLOTS_BYTES]; 2],
            result: [0; 256],
            incoming: 0,
            active: 0,
            computed: 0,
        }
    }

    /// Lets lanes read what they have written. If others wait for another operation, their values move along.
    pub fn complete(&mut self, active: u32, others: bool) {
        if others {
            let [first, second] = &mut self.slots;
            if self.incoming == 0 {
                second.copy_from_slice(first);
            } else {
                first.copy_from_slice(second);
            }
        }
        self.incoming ^= 1;
        self.active = active;
        self.computed = 0;
    }
}

/// An operation for which all lanes of the simdgroup must arrive.
pub const SIMDGROUP_BARRIER: u32 = 1;

/// An operation for which all threads of the threadgroup must arrive.
pub const THREADGROUP_BARRIER: u32 = 2;

/// The state of the running thread, at the start of the memory of the stacks.
#[repr(C)]
pub struct Context {
    pub simdgroup: *mut Simdgroup,
    pub lane: u32,
    pub thread: u32,
    pub buffers: *const *mut c_void,
    pub threadgroup_buffers: *const *mut c_void,
    pub threadgroup_variables: *const *mut c_void,
    pub threads: [u32; 3],
    pub threadgroups: [u32; 3],
    pub threadgroup: [u32; 3],
    pub poison: u32,
    pub arrive: unsafe extern "C" fn(*mut Context, u32, u64),
    pub fail: unsafe extern "C" fn(*mut Context, *const c_char, u64),
    // Kernels do not use what follows.
    pub scheduler: *mut Scheduler,
}

impl Context {
    /// The context of the running fiber. Meaningless outside of one.
    pub fn current() -> *mut Self {
        (stack_pointer() & !(STACKS_BYTES - 1)) as *mut Self
    }
}
