//! Checks the bindings of a dispatch against its kernel.

use super::Dispatch;
use crate::Error;
use crate::function::{Function, MAX_THREADGROUP_MEMORY, Memory};
use std::ffi::c_void;
use std::ptr;

/// Metal's number of buffer indices.
const MAX_BUFFERS: usize = 31;

/// Metal's largest threadgroup.
const MAX_THREADS: usize = 1024;

/// The checked arguments of a dispatch.
pub struct Bindings {
    /// By index.
    pub buffers: Vec<*mut c_void>,
    /// Threadgroup memory that the host sizes, with its index.
    pub threadgroup_buffers: Vec<(usize, Memory)>,
}

/// Checks the limits of Metal and that each argument is bound.
pub fn check(dispatch: &Dispatch<'_>) -> Result<Bindings, Error> {
    let function = &dispatch.function.shared;
    let invalid = |message: String| Error::Dispatch {
        kernel: function.name.clone(),
        message,
    };
    threads(dispatch).map_err(invalid)?;
    let buffers = buffers(dispatch).map_err(invalid)?;
    let threadgroup_buffers = threadgroup_buffers(dispatch).map_err(invalid)?;
    let dynamic: usize = dispatch
        .threadgroup_memory
        .iter()
        .map(|&(_, bytes)| bytes)
        .sum();
    let total = dispatch.function.static_threadgroup_memory_bytes() + dynamic;
    if total > MAX_THREADGROUP_MEMORY {
        return Err(invalid(format!(
            "{total} bytes of threadgroup memory exceed {MAX_THREADGROUP_MEMORY}"
        )));
    }
    Ok(Bindings {
        buffers,
        threadgroup_buffers,
    })
}

fn threads(dispatch: &Dispatch<'_>) -> Result<(), String> {
    let limit = dispatch
        .function
        .max_total_threads_per_threadgroup()
        .min(MAX_THREADS);
    let threads = product(dispatch.threads).unwrap_or(usize::MAX);
    if threads > limit {
        return Err(format!("{threads} threads per threadgroup exceed {limit}"));
    }
    if threads == 0 || product(dispatch.threadgroups) == Some(0) {
        return Err("a dispatch without threads".to_owned());
    }
    if dispatch
        .threadgroups
        .iter()
        .any(|&count| u32::try_from(count).is_err())
    {
        return Err(format!(
            "{:?} threadgroups exceed 32 bits",
            dispatch.threadgroups
        ));
    }
    Ok(())
}

fn product(sizes: [usize; 3]) -> Option<usize> {
    sizes[0].checked_mul(sizes[1])?.checked_mul(sizes[2])
}

fn buffers(dispatch: &Dispatch<'_>) -> Result<Vec<*mut c_void>, String> {
    let arguments = &dispatch.function.shared.buffers;
    let mut bound: Vec<*mut c_void> = vec![ptr::null_mut(); MAX_BUFFERS];
    for binding in &dispatch.buffers {
        let index = binding.index;
        let Some((argument, required)) = arguments
            .iter()
            .find(|(argument, _)| argument.index == index)
        else {
            return Err(format!("no argument has the buffer index {index}"));
        };
        let slot = bound
            .get_mut(index)
            .ok_or_else(|| format!("the buffer index {index} exceeds {}", MAX_BUFFERS - 1))?;
        if !slot.is_null() {
            return Err(format!("the buffer index {index} is bound twice"));
        }
        let name = &argument.name;
        if binding.pointer.is_null() {
            return Err(format!("`{name}` is bound to a null pointer"));
        }
        let alignment = required.alignment as usize;
        if !(binding.pointer as usize).is_multiple_of(alignment) {
            return Err(format!("`{name}` is not aligned to {alignment} bytes"));
        }
        if binding.bytes < required.bytes as usize {
            return Err(format!(
                "`{name}` is bound to {} bytes and needs {}",
                binding.bytes, required.bytes
            ));
        }
        *slot = binding.pointer.cast();
    }
    for (argument, _) in arguments {
        if bound
            .get(argument.index)
            .is_none_or(|pointer| pointer.is_null())
        {
            return Err(format!(
                "`{}`, buffer index {}, is not bound",
                argument.name, argument.index
            ));
        }
    }
    Ok(bound)
}

fn threadgroup_buffers(dispatch: &Dispatch<'_>) -> Result<Vec<(usize, Memory)>, String> {
    let arguments = &dispatch.function.shared.threadgroup_buffers;
    let given = &dispatch.threadgroup_memory;
    for (position, &(index, bytes)) in given.iter().enumerate() {
        if !arguments
            .iter()
            .any(|(argument, _)| argument.index == index)
        {
            return Err(format!("no argument has the threadgroup index {index}"));
        }
        if given[..position].iter().any(|&(other, _)| other == index) {
            return Err(format!("the threadgroup index {index} is given twice"));
        }
        if bytes == 0 || !bytes.is_multiple_of(16) {
            return Err(format!(
                "{bytes} bytes of threadgroup memory are not a multiple of 16"
            ));
        }
    }
    let sized = arguments.iter().map(|(argument, required)| {
        let (_, bytes) = given
            .iter()
            .find(|&&(index, _)| index == argument.index)
            .ok_or_else(|| {
                format!(
                    "`{}`, threadgroup index {}, has no size",
                    argument.name, argument.index
                )
            })?;
        let memory = Memory {
            bytes: *bytes,
            alignment: required.alignment as usize,
        };
        Ok((argument.index, memory))
    });
    sized.collect()
}

/// The greatest index of threadgroup memory that a function uses, plus one.
pub fn threadgroup_indices(function: &Function) -> usize {
    let arguments = function.shared.threadgroup_buffers.iter();
    arguments
        .map(|(argument, _)| argument.index + 1)
        .max()
        .unwrap_or(0)
}
