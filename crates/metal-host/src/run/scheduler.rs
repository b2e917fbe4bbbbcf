//! Runs the threads of threadgroups as fibers of one thread of the host.
//!
//! A lane runs until it arrives at a barrier or at an operation of its simdgroup. It then switches to the next lane of its simdgroup
//! without a detour; the last one switches back to the scheduler, which completes the operation or chooses another simdgroup. A lane
//! that ends without having waited leaves its stack to the next one, so a kernel without barriers needs one stack and no switches.

use super::context::{Context, SIMD_WIDTH, Simdgroup};
use super::group::{Group, line};
use super::order::{Generator, Order};
use super::stacks::Stacks;
use super::switch::{prepare, switch};
use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::ptr;

/// The parts of the context that differ between threadgroups.
#[derive(Clone, Copy)]
pub struct View {
    pub entry: unsafe extern "C" fn(*const Context),
    pub buffers: *const *mut c_void,
    pub threadgroup_buffers: *const *mut c_void,
    pub threadgroup_variables: *const *mut c_void,
    pub threads: [u32; 3],
    pub threadgroups: [u32; 3],
    pub threadgroup: [u32; 3],
    pub poison: u32,
}

/// A threadgroup that runs.
pub struct Slot {
    groups: Vec<Group>,
    simdgroups: Vec<Simdgroup>,
    /// What kernels see of it.
    pub view: View,
}

/// What a kernel did wrong, and where.
pub struct Failure {
    pub line: u32,
    pub message: String,
}

/// What a step of a threadgroup led to.
pub enum Progress {
    Running,
    Finished,
}

/// The fibers of one thread of the host.
pub struct Scheduler {
    stacks: Stacks,
    free_stacks: Vec<u32>,
    root: *mut c_void,
    order: Order,
    generator: Option<Generator>,
    /// What the current threadgroup's threads run.
    entry: unsafe extern "C" fn(*const Context),
    group: *mut Group,
    failure: Option<Failure>,
}

impl Scheduler {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            stacks: Stacks::new()?,
            free_stacks: Vec::new(),
            root: ptr::null_mut(),
            order: Order::Forward,
            generator: None,
            entry: no_kernel,
            group: ptr::null_mut(),
            failure: None,
        })
    }

    /// Forgets all threadgroups of an earlier run, and guards the stacks that `threads` threads need.
    pub fn reset(&mut self, order: Order, threads: usize) -> io::Result<()> {
        self.stacks.guard(threads)?;
        self.free_stacks = (0..threads as u32).rev().collect();
        self.order = order;
        self.generator = order.generator();
        self.failure = None;
        Ok(())
    }

    pub fn generator(&mut self) -> Option<&mut Generator> {
        self.generator.as_mut()
    }

    /// Starts a threadgroup, in the memory of a finished one if there is one.
    pub fn start(&mut self, finished: Option<Slot>, view: View) -> Slot {
        let mut slot = finished.unwrap_or_else(|| Slot {
            groups: Vec::new(),
            simdgroups: Vec::new(),
            view,
        });
        slot.view = view;
        let threads = view.threads.iter().product::<u32>();
        slot.groups.clear();
        for first in (0..threads).step_by(SIMD_WIDTH) {
            let group = Group::new(first, threads - first, self.order, self.generator.as_mut());
            slot.groups.push(group);
        }
        let count = slot.groups.len().max(slot.simdgroups.len());
        slot.simdgroups.resize_with(count, Simdgroup::new);
        slot
    }

    /// Runs one simdgroup of the threadgroup until all its lanes wait.
    pub fn step(&mut self, slot: &mut Slot) -> Result<Progress, Failure> {
        let Some(group) = self.choose_group(slot) else {
            return self.complete_barrier(slot);
        };
        self.enter(slot, group);
        // SAFETY: the stacks are free or were left by `switch`; kernels get the buffers that the caller of `run` vouches for.
        unsafe { run_group(self) };
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        slot.groups[group].complete(&mut slot.simdgroups[group], self.generator.as_mut())?;
        Ok(Progress::Running)
    }

    fn choose_group(&mut self, slot: &Slot) -> Option<usize> {
        let groups = &slot.groups;
        match (self.order, &mut self.generator) {
            (Order::Random(_), Some(generator)) => {
                let runnable = groups.iter().filter(|group| group.is_runnable()).count();
                let chosen = generator.below(runnable.max(1));
                let mut indices = (0..groups.len()).filter(|&index| groups[index].is_runnable());
                indices.nth(chosen)
            }
            (Order::Reverse, _) => groups.iter().rposition(Group::is_runnable),
            _ => groups.iter().position(Group::is_runnable),
        }
    }

    /// Makes the context that of a simdgroup.
    fn enter(&mut self, slot: &mut Slot, group: usize) {
        let view = slot.view;
        let context = Context {
            simdgroup: &raw mut slot.simdgroups[group],
            lane: 0,
            thread: 0,
            buffers: view.buffers,
            threadgroup_buffers: view.threadgroup_buffers,
            threadgroup_variables: view.threadgroup_variables,
            threads: view.threads,
            threadgroups: view.threadgroups,
            threadgroup: view.threadgroup,
            poison: view.poison,
            arrive,
            fail,
            scheduler: self,
        };
        self.entry = view.entry;
        self.group = &raw mut slot.groups[group];
        // SAFETY: the memory in front of the stacks is reserved for the context and aligned to more than a page.
        unsafe { self.stacks.start().cast::<Context>().write(context) };
    }

    /// When no lane can run: all wait at the same barrier, or all are done.
    fn complete_barrier(&mut self, slot: &mut Slot) -> Result<Progress, Failure> {
        let waiting: u32 = slot
            .groups
            .iter()
            .map(|group| group.at_barrier().count_ones())
            .sum();
        if waiting == 0 {
            return Ok(Progress::Finished);
        }
        let lines = || slot.groups.iter().flat_map(Group::barrier_lines);
        let line = lines().min().unwrap_or_default();
        let returned = slot.view.threads.iter().product::<u32>() - waiting;
        if returned > 0 {
            let message = format!(
                "{waiting} threads wait at this threadgroup_barrier, and {returned} have returned"
            );
            return Err(Failure { line, message });
        }
        if let Some(other) = lines().find(|&other| other != line) {
            let message = format!(
                "some threads wait at this threadgroup_barrier, others at the one in line {other}"
            );
            return Err(Failure { line, message });
        }
        for group in &mut slot.groups {
            group.release_barrier(self.generator.as_mut());
        }
        Ok(Progress::Running)
    }

    fn context(&self) -> *mut Context {
        self.stacks.start().cast()
    }
}

unsafe extern "C" fn no_kernel(_: *const Context) {}

/// Runs the lanes of the current simdgroup that can run, and returns when all wait or are done.
///
/// # Safety
///
/// `scheduler` must have entered a simdgroup.
unsafe fn run_group(scheduler: *mut Scheduler) {
    // SAFETY: no reference to the scheduler or the group is alive while fibers run.
    unsafe {
        (*(*scheduler).group).start_round();
        if let Some(target) = next_lane(scheduler) {
            switch(&raw mut (*scheduler).root, target);
        }
    }
}

/// Makes the next lane the running one and returns the stack pointer to switch to.
///
/// # Safety
///
/// The scheduler must have entered a simdgroup, and no reference to it or the group may be alive.
#[inline]
unsafe fn next_lane(scheduler: *mut Scheduler) -> Option<*mut c_void> {
    // SAFETY: as the caller promises.
    unsafe {
        let group = (*scheduler).group;
        let (lane, unstarted) = (*group).next()?;
        if unstarted {
            prepare_stack(&mut *scheduler, &mut *group, lane);
        }
        make_current(scheduler, group, lane);
        Some((*group).stack_pointers[lane])
    }
}

/// Gives a lane a stack on which it starts.
fn prepare_stack(scheduler: &mut Scheduler, group: &mut Group, lane: usize) {
    let Some(stack) = scheduler.free_stacks.pop() else {
        unreachable!("there are as many stacks as threads");
    };
    group.stacks[lane] = stack;
    let top = scheduler.stacks.top(stack as usize);
    // SAFETY: the stack is free.
    group.stack_pointers[lane] = unsafe { prepare(top, run_lanes) };
}

/// Writes the indices of the running lane to the context.
///
/// # Safety
///
/// The scheduler must have entered the simdgroup.
#[inline]
unsafe fn make_current(scheduler: *mut Scheduler, group: *mut Group, lane: usize) {
    // SAFETY: `enter` has written the context.
    unsafe {
        let context = (*scheduler).context();
        (*context).lane = lane as u32;
        (*context).thread = (*group).first_thread + lane as u32;
    }
}

/// A lane arrives at an operation; returns when it is complete.
unsafe extern "C" fn arrive(context: *mut Context, operation: u32, place: u64) {
    // SAFETY: called by a kernel on the stack of its lane, while no reference to the scheduler is alive.
    unsafe {
        let scheduler = (*context).scheduler;
        let group = (*scheduler).group;
        let lane = (*context).lane as usize;
        (*group).wait(lane, operation, place);
        let target = next_lane(scheduler).unwrap_or((*scheduler).root);
        switch(&raw mut (*group).stack_pointers[lane], target);
    }
}

/// Reports an error of the running kernel. Does not return: none of its threads runs again.
unsafe extern "C" fn fail(context: *mut Context, message: *const c_char, place: u64) {
    // SAFETY: as for `arrive`; the message is a string literal of the headers.
    unsafe {
        let scheduler = (*context).scheduler;
        (*scheduler).failure = Some(Failure {
            line: line(place),
            message: CStr::from_ptr(message).to_string_lossy().into_owned(),
        });
        let mut unused = ptr::null_mut();
        switch(&raw mut unused, (*scheduler).root);
    }
}

/// What runs on a fresh stack: lanes, one after the other, until another stack has to continue.
extern "C" fn run_lanes() -> ! {
    loop {
        // SAFETY: runs on a stack of the scheduler that has written the context, while no reference to it is alive.
        unsafe {
            let context = Context::current();
            let scheduler = (*context).scheduler;
            ((*scheduler).entry)(context);
            // The simdgroup is that of this lane again, whatever ran in between.
            let group = (*scheduler).group;
            let lane = (*context).lane as usize;
            let stack = (*group).stacks[lane];
            let target = match (*group).next() {
                Some((next, true)) => {
                    (*group).stacks[next] = stack;
                    make_current(scheduler, group, next);
                    continue;
                }
                Some((next, false)) => {
                    make_current(scheduler, group, next);
                    (*group).stack_pointers[next]
                }
                None => (*scheduler).root,
            };
            (*scheduler).free_stacks.push(stack);
            let mut unused = ptr::null_mut();
            switch(&raw mut unused, target);
        }
    }
}
