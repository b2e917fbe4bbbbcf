//! Runs dispatches.

mod bindings;
mod context;
mod group;
mod loads;
mod memory;
mod order;
mod scheduler;
mod stacks;
mod subnormals;
mod switch;

pub use context::Context;
pub use loads::{Loads, record as record_load};
pub use order::Order;

use crate::{Error, Function};
use bindings::Bindings;
use loads::Trace;
use memory::ThreadgroupMemory;
use scheduler::{Failure, Progress, Scheduler, Slot, View};
use std::cell::RefCell;
use std::mem;
use std::ops::Range;

/// Size and alignment of the memory that holds the stacks of all fibers.
pub const STACKS_BYTES: usize = 256 << 20;

/// What undefined memory holds: NaN of any floating-point type.
const NAN_PATTERN: u32 = u32::MAX;

/// 1e30, since kernels compiled with `-ffast-math` may assume that there is no NaN.
const FAST_MATH_PATTERN: u32 = 0x7149_f2ca;

/// One dispatch.
pub struct Dispatch<'a> {
    /// The kernel.
    pub function: &'a Function,
    /// A binding for each argument of [`Function::buffers`]; also for values that Metal copies (`setBytes`).
    pub buffers: Vec<Bound>,
    /// Index and bytes for each argument of [`Function::threadgroup_buffers`]; multiples of 16.
    pub threadgroup_memory: Vec<(usize, usize)>,
    /// Threadgroups in each dimension of the grid.
    pub threadgroups: [usize; 3],
    /// Threads in each dimension of a threadgroup.
    pub threads: [usize; 3],
}

/// Memory that is bound to a buffer index.
pub struct Bound {
    /// The buffer index.
    pub index: usize,
    /// The start of the binding.
    pub pointer: *mut u8,
    /// From the pointer to the end of the buffer.
    pub bytes: usize,
}

thread_local! {
    /// Mapping the stacks is slower than many dispatches.
    static IDLE: RefCell<Vec<Scheduler>> = const { RefCell::new(Vec::new()) };
}

/// Runs the dispatches of one barrier interval: those that a GPU may run at the same time.
///
/// All threads run on the calling thread of the host, in the given order: threadgroups of all dispatches, simdgroups of a
/// threadgroup, lanes of a simdgroup. Threadgroup memory is undefined when a threadgroup starts, and holds NaN here (1e30 with
/// [`Options::fast_math`](crate::Options::fast_math)). A violation of Metal's rules is an error; buffers then hold what was written
/// until then.
///
/// # Safety
///
/// The bound memory must be valid for the accesses of the kernels during the call, and must not be accessed by others meanwhile.
pub unsafe fn run(interval: &[Dispatch<'_>], order: Order) -> Result<(), Error> {
    // SAFETY: as the caller promises.
    unsafe { run_interval(interval, order, None) }
}

/// As [`run`]. Returns what each dispatch loaded from its buffers, which is nothing for a kernel that was compiled without
/// [`Options::trace_loads`](crate::Options::trace_loads).
///
/// # Safety
///
/// As for [`run`].
pub unsafe fn run_traced(
    interval: &[Dispatch<'_>],
    order: Order,
) -> Result<Vec<Vec<Loads>>, Error> {
    let mut traces: Vec<Trace> = interval.iter().map(Trace::new).collect();
    // SAFETY: as the caller promises.
    unsafe { run_interval(interval, order, Some(&mut traces)) }?;
    Ok(traces.into_iter().map(Trace::finish).collect())
}

/// # Safety
///
/// As for [`run`].
unsafe fn run_interval(
    interval: &[Dispatch<'_>],
    order: Order,
    traces: Option<&mut [Trace]>,
) -> Result<(), Error> {
    let bindings = interval
        .iter()
        .map(bindings::check)
        .collect::<Result<Vec<_>, _>>()?;
    let idle = IDLE.with_borrow_mut(Vec::pop);
    let mut scheduler = idle
        .map_or_else(Scheduler::new, Ok)
        .and_then(|mut scheduler| {
            scheduler.reset(order, threads(interval) * order.concurrent_threadgroups())?;
            Ok(scheduler)
        })
        .map_err(|error| Error::Dispatch {
            kernel: interval.first().map_or_else(String::new, |dispatch| {
                dispatch.function.shared.name.clone()
            }),
            message: format!("no memory for stacks: {error}"),
        })?;
    let result = Interval {
        dispatches: interval,
        bindings,
        order,
    }
    .run(&mut scheduler, traces);
    // After an error, fibers are abandoned in the middle; AddressSanitizer still guards their frames.
    if result.is_ok() {
        IDLE.with_borrow_mut(|idle| idle.push(scheduler));
    }
    result
}

/// Threads of the largest threadgroup.
fn threads(interval: &[Dispatch<'_>]) -> usize {
    let threads = interval
        .iter()
        .map(|dispatch| dispatch.threads.iter().product());
    threads.max().unwrap_or(0)
}

struct Interval<'a> {
    dispatches: &'a [Dispatch<'a>],
    bindings: Vec<Bindings>,
    order: Order,
}

/// A threadgroup that runs, or the memory of a finished one.
struct Running {
    dispatch: usize,
    memory: ThreadgroupMemory,
    slot: Slot,
    /// What it has loaded.
    loads: Vec<Range<usize>>,
}

impl Interval<'_> {
    fn run(
        &self,
        scheduler: &mut Scheduler,
        mut traces: Option<&mut [Trace]>,
    ) -> Result<(), Error> {
        let mut pending = self.threadgroups();
        self.order.arrange(&mut pending, scheduler.generator());
        let mut pending = pending.into_iter();
        let mut subnormals = subnormals::Mode::new();
        let mut running: Vec<Running> = Vec::new();
        for _ in 0..self.order.concurrent_threadgroups() {
            if let Some(next) = pending.next() {
                running.push(self.start(scheduler, next, None));
            }
        }
        while !running.is_empty() {
            let turn = match scheduler.generator() {
                Some(generator) => generator.below(running.len()),
                None => 0,
            };
            let current = &mut running[turn];
            subnormals.set(
                self.dispatches[current.dispatch]
                    .function
                    .shared
                    .flush_subnormals,
            );
            let progress = if traces.is_some() {
                loads::recording(&mut current.loads, || scheduler.step(&mut current.slot))
            } else {
                scheduler.step(&mut current.slot)
            };
            let progress = progress.map_err(|failure| self.error(current, failure))?;
            if let Progress::Finished = progress {
                let mut finished = running.swap_remove(turn);
                if let Some(traces) = &mut traces {
                    traces[finished.dispatch].add(mem::take(&mut finished.loads));
                }
                if let Some(next) = pending.next() {
                    running.push(self.start(scheduler, next, Some(finished)));
                }
            }
        }
        Ok(())
    }

    /// Dispatch and index of all threadgroups.
    fn threadgroups(&self) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        for (dispatch, description) in self.dispatches.iter().enumerate() {
            let count = description.threadgroups.iter().product::<usize>();
            all.extend((0..count).map(|index| (dispatch as u32, index as u32)));
        }
        all
    }

    fn start(
        &self,
        scheduler: &mut Scheduler,
        next: (u32, u32),
        finished: Option<Running>,
    ) -> Running {
        let (dispatch, index) = (next.0 as usize, next.1 as usize);
        let description = &self.dispatches[dispatch];
        let function = &description.function;
        let (memory, slot) = match finished {
            Some(finished) if finished.dispatch == dispatch => {
                (Some(finished.memory), Some(finished.slot))
            }
            Some(finished) => (None, Some(finished.slot)),
            None => (None, None),
        };
        let mut memory =
            memory.unwrap_or_else(|| ThreadgroupMemory::new(function, &self.bindings[dispatch]));
        let poison = if function.shared.fast_math {
            FAST_MATH_PATTERN
        } else {
            NAN_PATTERN
        };
        memory.fill(poison);
        let [x, y, _] = description.threadgroups;
        let view = View {
            entry: function.shared.entry,
            buffers: self.bindings[dispatch].buffers.as_ptr(),
            threadgroup_buffers: memory.buffers.as_ptr(),
            threadgroup_variables: memory.variables.as_ptr(),
            threads: description.threads.map(|count| count as u32),
            threadgroups: description.threadgroups.map(|count| count as u32),
            threadgroup: [index % x, index / x % y, index / (x * y)]
                .map(|position| position as u32),
            poison,
        };
        let slot = scheduler.start(slot, view);
        Running {
            dispatch,
            memory,
            slot,
            loads: Vec::new(),
        }
    }

    fn error(&self, running: &Running, failure: Failure) -> Error {
        Error::Execution {
            kernel: self.dispatches[running.dispatch]
                .function
                .shared
                .name
                .clone(),
            threadgroup: running
                .slot
                .view
                .threadgroup
                .map(|position| position as usize),
            line: failure.line,
            message: failure.message,
        }
    }
}
