//! A compiled kernel.

use crate::library::Options;
use crate::rewrite::Parameter;
use crate::run::{Context, record_load};
use crate::{Error, sanitizer};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::ffi::{c_ulong, c_void};
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

/// Metal's limit for the static and dynamic threadgroup memory of a kernel, in bytes.
pub const MAX_THREADGROUP_MEMORY: usize = 32 * 1024;

/// Where a buffer argument points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// `device`
    Device,
    /// `constant`
    Constant,
}

/// A buffer argument of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferArgument {
    /// The index that the host binds.
    pub index: usize,
    /// The name of the parameter.
    pub name: String,
    /// The address space of what it points to.
    pub address_space: AddressSpace,
    /// Whether the kernel cannot write through it.
    pub constant: bool,
}

/// An argument of a kernel in threadgroup memory, whose size the host sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadgroupArgument {
    /// The index for which the host sets a size.
    pub index: usize,
    /// The name of the parameter.
    pub name: String,
}

/// What the rewriter knows about a kernel.
pub struct Reflection {
    pub host_name: String,
    pub buffers: Vec<Parameter<BufferArgument>>,
    pub threadgroup_buffers: Vec<Parameter<ThreadgroupArgument>>,
    pub parameters: usize,
}

/// What an argument needs; mirrors `Requirement` in src/shim/entry.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Requirement {
    /// Bytes that the argument refers to at least.
    pub bytes: c_ulong,
    /// Alignment in bytes.
    pub alignment: c_ulong,
}

/// A variable in threadgroup memory; mirrors `Variable` in src/shim/runtime.h.
#[repr(C)]
struct Variable {
    bytes: c_ulong,
    alignment: c_ulong,
    index: c_ulong,
}

/// Size and alignment in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub bytes: usize,
    pub alignment: usize,
}

/// A kernel that can be run. Cloning is cheap.
#[derive(Clone)]
pub struct Function {
    pub(crate) shared: Arc<Shared>,
}

/// The loaded kernel.
pub struct Shared {
    pub name: String,
    pub buffers: Vec<(BufferArgument, Requirement)>,
    pub threadgroup_buffers: Vec<(ThreadgroupArgument, Requirement)>,
    pub variables: Vec<Memory>,
    pub max_threads: usize,
    pub entry: unsafe extern "C" fn(*const Context),
    pub fast_math: bool,
    pub flush_subnormals: bool,
    pub trace_loads: bool,
    /// Keeps the code mapped.
    _library: Library,
}

impl Function {
    /// The name that the host uses.
    pub fn host_name(&self) -> &str {
        &self.shared.name
    }

    /// The buffers that must be bound. Arguments that a function constant disables are left out.
    pub fn buffers(&self) -> impl Iterator<Item = &BufferArgument> {
        self.shared.buffers.iter().map(|(argument, _)| argument)
    }

    /// The threadgroup memory whose size must be set.
    pub fn threadgroup_buffers(&self) -> impl Iterator<Item = &ThreadgroupArgument> {
        self.shared
            .threadgroup_buffers
            .iter()
            .map(|(argument, _)| argument)
    }

    /// The value of `[[max_total_threads_per_threadgroup]]`, 1024 without it.
    pub fn max_total_threads_per_threadgroup(&self) -> usize {
        self.shared.max_threads
    }

    /// Bytes of the threadgroup memory that the kernel declares, each variable rounded up to 16.
    pub fn static_threadgroup_memory_bytes(&self) -> usize {
        let sizes = self.shared.variables.iter();
        sizes.map(|memory| memory.bytes.next_multiple_of(16)).sum()
    }
}

/// Loads a compiled kernel.
pub fn load(path: &Path, reflection: Reflection, options: &Options) -> Result<Function, Error> {
    // Loading a library twice gives the same variables, whose indices are written below.
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);

    let failed = |message: String| Error::Load {
        path: path.to_owned(),
        message,
    };
    if options.sanitize && !sanitizer::is_active() {
        return Err(Error::Sanitizer(
            "the process was started without their runtime; see `sanitizer::rerun`".to_owned(),
        ));
    }
    // SAFETY: the library is the output of our compiler; its initializers only set function constants.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| failed(error.to_string()))?;
    // SAFETY: the types are those of the functions that `library::entry` writes.
    let (entry, max_threads, requirements, conditions, variables) = unsafe {
        let entry: Symbol<unsafe extern "C" fn(*const Context)> =
            symbol(&library, "mlxm_entry").map_err(failed)?;
        let max_threads: Symbol<unsafe extern "C" fn() -> c_ulong> =
            symbol(&library, "mlxm_max_threads").map_err(failed)?;
        let requirements: Symbol<unsafe extern "C" fn(*mut Requirement)> =
            symbol(&library, "mlxm_requirements").map_err(failed)?;
        let conditions: Symbol<unsafe extern "C" fn(*mut bool)> =
            symbol(&library, "mlxm_conditions").map_err(failed)?;
        let variables: Symbol<unsafe extern "C" fn(*mut *mut Variable, *mut *mut Variable)> =
            symbol(&library, "mlxm_variables").map_err(failed)?;
        (*entry, max_threads, requirements, conditions, variables)
    };

    if options.trace_loads {
        // SAFETY: the type is that of the function in src/shim/loads.h, which only keeps the pointer.
        unsafe {
            let trace_loads: Symbol<unsafe extern "C" fn(extern "C" fn(*const c_void, c_ulong))> =
                symbol(&library, "mlxm_trace_loads").map_err(failed)?;
            trace_loads(record_load);
        }
    }

    let mut required = vec![Requirement::default(); reflection.parameters];
    let mut enabled = vec![false; reflection.buffers.len() + reflection.threadgroup_buffers.len()];
    let (mut start, mut stop) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the functions write as many elements as the kernel has parameters and arguments, and the bounds of a section.
    let (max_threads, variables) = unsafe {
        requirements(required.as_mut_ptr());
        conditions(enabled.as_mut_ptr());
        variables(&raw mut start, &raw mut stop);
        (max_threads() as usize, assign_indices(start, stop))
    };

    let (enabled_buffers, enabled_threadgroup) = enabled.split_at(reflection.buffers.len());
    Ok(Function {
        shared: Arc::new(Shared {
            name: reflection.host_name,
            buffers: select(reflection.buffers, enabled_buffers, &required),
            threadgroup_buffers: select(
                reflection.threadgroup_buffers,
                enabled_threadgroup,
                &required,
            ),
            variables,
            max_threads,
            entry,
            fast_math: options.fast_math,
            flush_subnormals: options.flush_subnormals,
            trace_loads: options.trace_loads,
            _library: library,
        }),
    })
}

/// # Safety
///
/// `T` must be the type of the function with this name.
unsafe fn symbol<T>(library: &Library, name: &str) -> Result<Symbol<T>, String> {
    // SAFETY: as the caller promises.
    unsafe { library.get(name) }.map_err(|error| error.to_string())
}

/// Numbers the variables, so that the kernel finds the address of each in a table.
///
/// # Safety
///
/// The pointers must enclose an array of variables that no kernel uses at the moment.
unsafe fn assign_indices(start: *mut Variable, stop: *mut Variable) -> Vec<Memory> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    let variables =
        unsafe { std::slice::from_raw_parts_mut(start, stop.offset_from(start) as usize) };
    let numbered = variables.iter_mut().enumerate();
    numbered
        .map(|(index, variable)| {
            variable.index = index as c_ulong;
            Memory {
                bytes: variable.bytes as usize,
                alignment: variable.alignment as usize,
            }
        })
        .collect()
}

fn select<T>(
    parameters: Vec<Parameter<T>>,
    enabled: &[bool],
    required: &[Requirement],
) -> Vec<(T, Requirement)> {
    let with_flags = parameters.into_iter().zip(enabled);
    with_flags
        .filter(|&(_, &enabled)| enabled)
        .map(|(parameter, _)| (parameter.argument, required[parameter.position]))
        .collect()
}
