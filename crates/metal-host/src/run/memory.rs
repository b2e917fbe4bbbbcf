//! Threadgroup memory.

use super::bindings::{Bindings, threadgroup_indices};
use crate::function::{Function, Memory};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

/// The memory of one threadgroup. Each variable is an allocation of its exact size, so that AddressSanitizer finds accesses outside.
pub struct ThreadgroupMemory {
    allocations: Vec<(*mut c_void, Layout)>,
    /// By index of the variable.
    pub variables: Vec<*mut c_void>,
    /// By index of the argument.
    pub buffers: Vec<*mut c_void>,
}

impl ThreadgroupMemory {
    pub fn new(function: &Function, bindings: &Bindings) -> Self {
        let mut memory = Self {
            allocations: Vec::new(),
            variables: Vec::new(),
            buffers: vec![ptr::null_mut(); threadgroup_indices(function)],
        };
        for &variable in &function.shared.variables {
            let pointer = memory.allocate(variable);
            memory.variables.push(pointer);
        }
        for &(index, size) in &bindings.threadgroup_buffers {
            memory.buffers[index] = memory.allocate(size);
        }
        memory
    }

    fn allocate(&mut self, memory: Memory) -> *mut c_void {
        let alignment = memory.alignment.max(16).next_power_of_two();
        let Ok(layout) = Layout::from_size_align(memory.bytes.max(1), alignment) else {
            unreachable!("sizes were checked against the limit");
        };
        // SAFETY: the layout has a size.
        let pointer = unsafe { alloc(layout) }.cast::<c_void>();
        if pointer.is_null() {
            handle_alloc_error(layout);
        }
        self.allocations.push((pointer, layout));
        pointer
    }

    /// Fills all memory with a pattern, as reading it before writing is an error of the kernel.
    pub fn fill(&mut self, pattern: u32) {
        for &(pointer, layout) in &self.allocations {
            let (words, rest) = (layout.size() / 4, layout.size() % 4);
            // SAFETY: inside of the allocation, which is aligned to more than a word.
            unsafe {
                let start = pointer.cast::<u32>();
                std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u32>>(), words)
                    .fill(MaybeUninit::new(pattern));
                ptr::copy_nonoverlapping(
                    pattern.to_le_bytes().as_ptr(),
                    start.add(words).cast(),
                    rest,
                );
            }
        }
    }
}

impl Drop for ThreadgroupMemory {
    fn drop(&mut self) {
        for &(pointer, layout) in &self.allocations {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(pointer.cast(), layout) };
        }
    }
}
