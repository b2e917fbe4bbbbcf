//! Switches between stacks.

use std::arch::naked_asm;
use std::ffi::c_void;

/// Saves the state of the running code on its stack and that stack's pointer in `*save`, and continues what `to` was saved for.
///
/// # Safety
///
/// `to` must have been written by `switch` or made by [`prepare`], and its stack must not have been used since.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn switch(save: *mut *mut c_void, to: *mut c_void) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "pop rcx",
        "jmp rcx",
    )
}

#[cfg(target_arch = "x86_64")]
const SAVED_WORDS: usize = 6;

/// A stack pointer with which [`switch`] calls `start` on an unused stack.
///
/// # Safety
///
/// `top` must be the end of the stack, aligned to 16 bytes, with at least 256 bytes below it.
#[cfg(target_arch = "x86_64")]
pub unsafe fn prepare(top: *mut c_void, start: extern "C" fn() -> !) -> *mut c_void {
    // Functions expect a stack pointer that is 8 bytes off alignment, as after a call.
    // SAFETY: as the caller promises.
    unsafe {
        let words = top.cast::<usize>().sub(SAVED_WORDS + 2);
        words.write_bytes(0, SAVED_WORDS + 2);
        words.add(SAVED_WORDS).write(start as usize);
        words.cast()
    }
}

/// Saves the state of the running code on its stack and that stack's pointer in `*save`, and continues what `to` was saved for.
///
/// # Safety
///
/// `to` must have been written by `switch` or made by [`prepare`], and its stack must not have been used since.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn switch(save: *mut *mut c_void, to: *mut c_void) {
    naked_asm!(
        "sub sp, sp, #160",
        "stp x19, x20, [sp]",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "str x9, [x0]",
        "mov sp, x1",
        "ldp x19, x20, [sp]",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "add sp, sp, #160",
        "ret",
    )
}

/// A stack pointer with which [`switch`] calls `start` on an unused stack.
///
/// # Safety
///
/// `top` must be the end of the stack, aligned to 16 bytes, with at least 256 bytes below it.
#[cfg(target_arch = "aarch64")]
pub unsafe fn prepare(top: *mut c_void, start: extern "C" fn() -> !) -> *mut c_void {
    const SAVED_WORDS: usize = 20;
    const RETURN_ADDRESS: usize = 11;
    // SAFETY: as the caller promises.
    unsafe {
        let words = top.cast::<usize>().sub(SAVED_WORDS);
        words.write_bytes(0, SAVED_WORDS);
        words.add(RETURN_ADDRESS).write(start as usize);
        words.cast()
    }
}

/// The stack pointer.
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
