//! A device for the Metal backend of mlxm-kernels that runs its kernels on the CPU.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlxm_kernels::metal::{
    Access, Binding, BufferId, Commands, Device, DeviceError, DeviceInfo, Dispatch, Kernel,
    PipelineId, Source, SubmissionId,
};

use crate::{Bound, Function, Library, Loads, Options, Order, run, run_traced};

/// Metal's limit for the bytes that are copied into a command buffer.
const MAX_ARGUMENT_BYTES: usize = 4096;

/// A dispatch, its pipeline, and whether a barrier comes before it.
type Encoded = (PipelineId, bool, Dispatch);

/// How a [`HostDevice`] compiles and runs.
#[derive(Clone, Debug)]
pub struct HostDeviceOptions {
    /// How kernels are compiled. Fast math applies to the sources that have it.
    pub compile: Options,
    /// The order of the dispatches of a barrier interval, of their threadgroups and of their threads. A random order is
    /// another one in each interval.
    pub order: Order,
    /// Run submitted work only when it is waited for, so that values that are read too early are wrong.
    pub lazy: bool,
}

impl Default for HostDeviceOptions {
    fn default() -> Self {
        Self {
            compile: Options::default(),
            order: Order::Forward,
            lazy: false,
        }
    }
}

/// Runs dispatches on the CPU, one barrier interval after the other.
pub struct HostDevice {
    options: HostDeviceOptions,
    /// What is replaced in the text of a source.
    replacements: Vec<(Source, String, String)>,
    state: Mutex<State>,
}

/// A kernel of a library that has been checked. It is compiled when it first runs.
struct Pipeline {
    library: Library,
    name: String,
    function: Option<Function>,
}

impl Pipeline {
    fn function(&mut self) -> Result<Function, DeviceError> {
        if let Some(function) = &self.function {
            return Ok(function.clone());
        }
        let function = self
            .library
            .function(&self.name, &[])
            .map_err(device_error)?;
        self.function = Some(function.clone());
        Ok(function)
    }
}

fn device_error(error: crate::Error) -> DeviceError {
    DeviceError(error.to_string())
}

#[derive(Default)]
struct State {
    /// Address and bytes of mapped memory, by number.
    buffers: Vec<Option<(usize, usize)>>,
    pipelines: Vec<Pipeline>,
    /// Submitted work that has not been run.
    pending: VecDeque<(u64, Vec<Encoded>)>,
    /// Failures of work that has been run and not waited for.
    failures: Vec<(u64, DeviceError)>,
    submissions: u64,
    intervals: u64,
    /// Submissions that fail, by number.
    injected: Vec<u64>,
    dispatches: u64,
    loads: Vec<DispatchLoads>,
}

/// What a dispatch loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchLoads {
    /// The kernel.
    pub kernel: Kernel,
    /// All bindings but the arguments.
    pub bindings: Vec<BindingLoads>,
}

/// What a dispatch loaded from a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingLoads {
    /// The kernel's name for the argument.
    pub argument: String,
    /// What is bound.
    pub binding: Binding,
    /// What was loaded from it.
    pub loads: Loads,
}

impl HostDevice {
    /// A device.
    pub fn new(options: HostDeviceOptions) -> Self {
        Self {
            options,
            replacements: Vec::new(),
            state: Mutex::default(),
        }
    }

    /// Replaces the text `from`, which must occur, in a source before it is compiled: for tests that a wrong kernel is
    /// noticed.
    #[must_use]
    pub fn with_replacement(mut self, source: Source, from: &str, to: &str) -> Self {
        self.replacements
            .push((source, from.to_owned(), to.to_owned()));
        self
    }

    /// Makes submission number `number`, counted from 0, fail instead of running.
    pub fn fail_submission(&self, number: u64) {
        self.lock().injected.push(number);
    }

    /// Submissions so far.
    pub fn submissions(&self) -> u64 {
        self.lock().submissions
    }

    /// Pipelines so far.
    pub fn pipelines(&self) -> usize {
        self.lock().pipelines.len()
    }

    /// Buffers that are mapped now.
    pub fn buffers(&self) -> usize {
        self.lock().buffers.iter().flatten().count()
    }

    /// Dispatches that have been run.
    pub fn dispatches(&self) -> u64 {
        self.lock().dispatches
    }

    /// What dispatches have loaded since the last call, if kernels are compiled with [`Options::trace_loads`].
    pub fn take_loads(&self) -> Vec<DispatchLoads> {
        std::mem::take(&mut self.lock().loads)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs submitted work up to submission number `last`.
    fn run_until(&self, state: &mut State, last: u64) {
        while let Some((number, _)) = state.pending.front() {
            if *number > last {
                return;
            }
            if let Some((number, commands)) = state.pending.pop_front() {
                let result = if state.injected.contains(&number) {
                    Err(DeviceError(format!("submission {number} was made to fail")))
                } else {
                    self.run_commands(state, &commands)
                };
                if let Err(error) = result {
                    state.failures.push((number, error));
                }
            }
        }
    }

    fn run_commands(&self, state: &mut State, commands: &[Encoded]) -> Result<(), DeviceError> {
        let mut rest = commands;
        while !rest.is_empty() {
            let barrier = rest[1..].iter().position(|(_, barrier, _)| *barrier);
            let (interval, later) = rest.split_at(barrier.map_or(rest.len(), |index| index + 1));
            self.run_interval(state, interval)?;
            rest = later;
        }
        Ok(())
    }

    fn run_interval(&self, state: &mut State, interval: &[Encoded]) -> Result<(), DeviceError> {
        state.intervals += 1;
        state.dispatches += interval.len() as u64;
        let order = match self.options.order {
            Order::Random(seed) => Order::Random(seed ^ state.intervals.wrapping_mul(0x9e37_79b9)),
            order => order,
        };
        // In words, which are aligned as the argument structures are.
        let mut arguments: Vec<Vec<u32>> = interval
            .iter()
            .map(|(_, _, dispatch)| {
                let (words, _) = dispatch.arguments.as_chunks::<4>();
                words.iter().map(|word| u32::from_ne_bytes(*word)).collect()
            })
            .collect();
        let functions = interval
            .iter()
            .map(
                |(pipeline, ..)| match state.pipelines.get_mut(pipeline.0 as usize) {
                    Some(pipeline) => pipeline.function(),
                    None => Err(DeviceError(format!("no {pipeline:?}"))),
                },
            )
            .collect::<Result<Vec<_>, _>>()?;
        let mut dispatches = interval
            .iter()
            .zip(&functions)
            .zip(&mut arguments)
            .map(|(((_, _, dispatch), function), arguments)| {
                bind(&state.buffers, function, dispatch, arguments)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut copies = Vec::new();
        if self.options.compile.sanitize {
            for ((_, _, encoded), dispatch) in interval.iter().zip(&mut dispatches) {
                // SAFETY: as for `run` below.
                unsafe { bind_copies(encoded, dispatch, &mut copies) };
            }
        }
        // SAFETY: the memory is mapped, as `bind` checks, and stays so until the work has been waited for. The backend
        // accesses it meanwhile only where no submitted work does.
        let traces = unsafe {
            if self.options.compile.trace_loads {
                run_traced(&dispatches, order)
            } else {
                run(&dispatches, order).map(|()| Vec::new())
            }
        };
        let traces = traces.map_err(device_error)?;
        for ((function, loads), (_, _, dispatch)) in functions.iter().zip(traces).zip(interval) {
            let loads = loads.into_iter();
            let bindings = loads.filter_map(|loads| BindingLoads::new(dispatch, function, loads));
            state.loads.push(DispatchLoads {
                kernel: dispatch.kernel,
                bindings: bindings.collect(),
            });
        }
        for copy in copies.iter().filter(|copy| copy.is_written) {
            // SAFETY: as for `run`; the copies do not overlap the memory.
            unsafe {
                copy.original
                    .copy_from_nonoverlapping(copy.bytes.as_ptr(), copy.bytes.len());
            };
        }
        Ok(())
    }
}

impl BindingLoads {
    /// None for the arguments.
    fn new(dispatch: &Dispatch, function: &Function, loads: Loads) -> Option<Self> {
        let mut bindings = dispatch.bindings.iter();
        let binding = bindings.find(|binding| binding.index as usize == loads.index)?;
        let mut arguments = function.buffers();
        let argument = arguments.find(|argument| argument.index == loads.index)?;
        Some(Self {
            argument: argument.name.clone(),
            binding: *binding,
            loads,
        })
    }
}

/// A copy of bound memory.
struct BoundCopy {
    original: *mut u8,
    bytes: Vec<u8>,
    is_written: bool,
}

/// Binds copies of exactly the bytes that are bound: around them the sanitizers notice an access. Ranges that are written
/// are the same or do not overlap.
///
/// # Safety
/// The bound memory is readable, and no other thread writes it.
unsafe fn bind_copies(
    encoded: &Dispatch,
    dispatch: &mut crate::Dispatch<'_>,
    copies: &mut Vec<BoundCopy>,
) {
    for bound in &mut dispatch.buffers {
        let mut bindings = encoded.bindings.iter();
        let Some(binding) = bindings.find(|binding| binding.index as usize == bound.index) else {
            // The arguments, which are a copy.
            continue;
        };
        let same = copies
            .iter()
            .position(|copy| (copy.original, copy.bytes.len()) == (bound.pointer, bound.bytes));
        let index = same.unwrap_or_else(|| {
            // SAFETY: the contract of this function.
            let bytes = unsafe { std::slice::from_raw_parts(bound.pointer, bound.bytes) };
            copies.push(BoundCopy {
                original: bound.pointer,
                bytes: bytes.to_vec(),
                is_written: false,
            });
            copies.len() - 1
        });
        copies[index].is_written |= binding.access == Access::Write;
        bound.pointer = copies[index].bytes.as_mut_ptr();
    }
}

/// A dispatch with the memory of its bindings.
fn bind<'a>(
    buffers: &[Option<(usize, usize)>],
    function: &'a Function,
    dispatch: &Dispatch,
    arguments: &mut [u32],
) -> Result<crate::Dispatch<'a>, DeviceError> {
    let name = function.host_name();
    let error = |problem: String| DeviceError(format!("kernel `{name}`: {problem}"));
    if dispatch.kernel.host_name() != name {
        return Err(error(format!("bound for {}", dispatch.kernel.host_name())));
    }
    let argument_bytes = dispatch.arguments.len();
    if !argument_bytes.is_multiple_of(4) || argument_bytes > MAX_ARGUMENT_BYTES {
        return Err(error(format!("{argument_bytes} bytes of arguments")));
    }
    let mut bound = Vec::with_capacity(dispatch.bindings.len() + 1);
    if argument_bytes > 0 {
        bound.push(Bound {
            index: 0,
            pointer: arguments.as_mut_ptr().cast(),
            bytes: argument_bytes,
        });
    }
    for binding in &dispatch.bindings {
        let index = binding.index as usize;
        let range = binding.range;
        let memory = buffers.get(range.buffer.0 as usize).copied().flatten();
        let Some((address, bytes)) = memory else {
            return Err(error(format!("binding {index} is of unmapped memory")));
        };
        if range.offset > bytes || range.bytes > bytes - range.offset {
            return Err(error(format!(
                "binding {index} exceeds its buffer of {bytes} bytes: {range:?}"
            )));
        }
        let argument = function.buffers().find(|argument| argument.index == index);
        if binding.access != Access::Write && argument.is_some_and(|argument| !argument.constant) {
            return Err(error(format!(
                "binding {index} is for {:?}, but the kernel can write it",
                binding.access
            )));
        }
        bound.push(Bound {
            index,
            pointer: std::ptr::with_exposed_provenance_mut(address + range.offset),
            bytes: range.bytes,
        });
    }
    Ok(crate::Dispatch {
        function,
        buffers: bound,
        threadgroup_memory: Vec::new(),
        threadgroups: dispatch.threadgroups,
        threads: [dispatch.threads, 1, 1],
    })
}

impl Device for HostDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: "Metal on the CPU".to_owned(),
            working_set_bytes: u64::MAX,
            max_buffer_bytes: usize::MAX,
            cores: 8,
        }
    }

    unsafe fn map(&self, pointer: *mut u8, bytes: usize) -> Result<BufferId, DeviceError> {
        let mut state = self.lock();
        let entry = Some((pointer.expose_provenance(), bytes));
        let free = state.buffers.iter().position(Option::is_none);
        let index = if let Some(index) = free {
            state.buffers[index] = entry;
            index
        } else {
            state.buffers.push(entry);
            state.buffers.len() - 1
        };
        Ok(BufferId(index as u32))
    }

    fn unmap(&self, buffer: BufferId) {
        let mut state = self.lock();
        if let Some(entry) = state.buffers.get_mut(buffer.0 as usize) {
            *entry = None;
        }
    }

    fn compile(
        &self,
        source: Source,
        text: &str,
        host_names: &[String],
    ) -> Result<Vec<PipelineId>, DeviceError> {
        let mut text = text.to_owned();
        for (_, from, to) in self.replacements.iter().filter(|(of, ..)| *of == source) {
            if !text.contains(from) {
                return Err(DeviceError(format!("{source:?} does not contain {from:?}")));
            }
            text = text.replace(from, to);
        }
        let mut options = self.options.compile.clone();
        options.fast_math &= source.has_fast_math();
        options.check_address_spaces = true;
        let library = Library::compile(&text, &options).map_err(device_error)?;
        if let Some(name) = host_names
            .iter()
            .find(|name| !library.function_names().contains(&name.as_str()))
        {
            return Err(DeviceError(format!("{source:?} has no kernel {name}")));
        }
        let mut state = self.lock();
        let first = state.pipelines.len();
        state
            .pipelines
            .extend(host_names.iter().map(|name| Pipeline {
                library: library.clone(),
                name: name.clone(),
                function: None,
            }));
        let pipelines = first..state.pipelines.len();
        Ok(pipelines.map(|index| PipelineId(index as u32)).collect())
    }

    fn submit(&self, commands: &Commands<'_>) -> Result<SubmissionId, DeviceError> {
        let mut state = self.lock();
        let number = state.submissions;
        state.submissions += 1;
        state
            .pending
            .push_back((number, commands.dispatches.to_vec()));
        if !self.options.lazy {
            self.run_until(&mut state, number);
        }
        Ok(SubmissionId(number))
    }

    fn wait(&self, submission: SubmissionId) -> Result<(), DeviceError> {
        let mut state = self.lock();
        self.run_until(&mut state, submission.0);
        let failures = &mut state.failures;
        match failures
            .iter()
            .position(|(number, _)| *number == submission.0)
        {
            Some(index) => Err(failures.remove(index).1),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HostDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostDevice")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
