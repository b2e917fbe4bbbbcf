//! Persistent worker threads that share one loop at a time.
//!
//! An operation of a small model takes a few microseconds, so workers spin for a moment between loops before they
//! sleep, and a loop never waits for a worker that has not started on it: a late one finds the loop closed.
//!
//! # Protocol
//! `state` packs the number of the current loop, whether it is open, and how many workers are inside. A worker enters
//! by a compare-and-swap that only succeeds on an open loop; the caller closes the loop when no index is left and then
//! waits until nobody is inside. The job may therefore be borrowed from the caller's stack.
//!
//! A loop may have phases, one after the other, without the cost of opening another loop: the indices of all phases
//! are handed out in order, and whoever takes one of a later phase waits until everything before the phase is done.
//!
//! What nobody waits for can be left aside for a worker between two loops; a loop that is opened meanwhile does without it.

use std::{
    any::Any,
    cell::UnsafeCell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

/// RopeCosSin of the spin loop before a worker sleeps, about 100 µs.
const WORKER_SPINS: u32 = 3_000;
/// RopeCosSin before a thread that waits for another yields its core to it.
const CALLER_SPINS: u32 = 10_000;

const ACTIVE: u64 = (1 << 31) - 1;
const OPEN: u64 = 1 << 31;
const NEXT_LOOP: u64 = 1 << 32;

/// A fixed set of threads; the caller of [`Pool::parallel_for`] is one of them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held while a loop runs. A second caller, or a loop inside of a loop, does not wait for it.
    running: Mutex<()>,
}

struct Worker {
    thread: Thread,
    handle: Option<JoinHandle<()>>,
    asleep: Arc<AtomicBool>,
}

struct Shared {
    state: AtomicU64,
    stop: AtomicBool,
    job: UnsafeCell<Job>,
    next: AtomicUsize,
    /// Finished indices of the current loop; only counted when it has several phases.
    done: AtomicUsize,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    background: Mutex<Vec<BackgroundTask>>,
    /// Whether there are any.
    has_background: AtomicBool,
}

/// What nobody waits for.
type BackgroundTask = Box<dyn FnOnce() + Send>;

/// What a phase and an index make.
type Task = dyn Fn(usize, usize) + Sync;

/// Phases of a loop at most.
pub(crate) const MAX_PHASES: usize = 4;

#[derive(Clone, Copy)]
struct Job {
    task: *const Task,
    /// The index behind each phase's last; unused phases are empty.
    ends: [usize; MAX_PHASES],
    phases: usize,
}

// SAFETY: `job` is written only while the loop is closed and nobody is inside, and read only by threads inside; the
// transitions of `state` order the two.
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer in `job` is only followed inside of a loop, while its caller keeps the referent alive.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool that computes on `threads` threads, the caller included.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            job: UnsafeCell::new(Job {
                task: &|_, _| {},
                ends: [0; MAX_PHASES],
                phases: 0,
            }),
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
            background: Mutex::new(Vec::new()),
            has_background: AtomicBool::new(false),
        });
        // A machine that refuses more threads still computes, on those it gave.
        let workers = (1..threads)
            .map_while(|index| Worker::spawn(index, shared.clone()).ok())
            .collect();
        Self {
            shared,
            workers,
            running: Mutex::new(()),
        }
    }

    /// Threads that compute, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once for every index below `count` and returns when all calls have returned.
    ///
    /// Runs on the calling thread alone when the pool is taken by another caller. A panic of `task` is raised again
    /// here, after the other threads have left the loop.
    pub fn parallel_for(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        self.parallel_phases(&[count], &|_, index| task(index));
    }

    /// Calls `task(phase, index)` once for every index below `counts[phase]`, all of a phase before any of the next,
    /// and returns when all calls have returned. Otherwise as [`Pool::parallel_for`].
    ///
    /// # Panics
    /// With more than [`MAX_PHASES`] phases, and when a task does.
    pub fn parallel_phases(&self, counts: &[usize], task: &(dyn Fn(usize, usize) + Sync)) {
        assert!(counts.len() <= MAX_PHASES, "{} phases", counts.len());
        let total: usize = counts.iter().sum();
        let guard = match self.running.try_lock() {
            Ok(guard) if total > 1 && !self.workers.is_empty() => guard,
            _ => {
                for (phase, count) in counts.iter().enumerate() {
                    (0..*count).for_each(|index| task(phase, index));
                }
                return;
            }
        };
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. The loop is closed and left by all before this function returns, so
        // nobody follows the pointer afterwards.
        let task: &'static Task = unsafe { std::mem::transmute(task) };
        let mut end = 0;
        let ends = std::array::from_fn(|phase| {
            end += counts.get(phase).copied().unwrap_or_default();
            end
        });
        let job = Job {
            task,
            ends,
            phases: counts.len(),
        };
        // SAFETY: this thread holds `turn` and the last loop was closed and left, so nobody reads the job.
        unsafe { *shared.job.get() = job };
        shared.next.store(0, Ordering::Relaxed);
        shared.done.store(0, Ordering::Relaxed);
        shared.panicked.store(false, Ordering::Relaxed);
        let open = shared.state.load(Ordering::Relaxed).wrapping_add(NEXT_LOOP) | OPEN;
        shared.state.store(open, Ordering::SeqCst);
        self.workers.iter().for_each(Worker::wake);
        shared.run(job);
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while shared.state.load(Ordering::Acquire) & ACTIVE != 0 {
            spin(&mut spins);
        }
        let panic = lock(&shared.panic).take();
        drop(guard);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Has a worker call `task` as soon as it is between two loops, and does not wait for it. Without workers the caller
    /// does it.
    pub fn spawn_background(&self, task: BackgroundTask) {
        if self.workers.is_empty() {
            return task();
        }
        lock(&self.shared.background).push(task);
        // Said before looking who sleeps: a worker announces its sleep before it looks for work a last time.
        self.shared.has_background.store(true, Ordering::SeqCst);
        let asleep = |worker: &Worker| worker.asleep.load(Ordering::SeqCst);
        if self.workers.iter().all(asleep)
            && let Some(worker) = self.workers.first()
        {
            worker.wake();
        }
    }
}

impl Shared {
    /// Does what was left aside. A panic ends the task that it belongs to and has nobody else to tell.
    fn run_background(&self) {
        self.has_background.store(false, Ordering::SeqCst);
        let tasks = std::mem::take(&mut *lock(&self.background));
        for task in tasks {
            let _ = catch_unwind(AssertUnwindSafe(task));
        }
    }

    /// Takes indices until none is left. A panic is kept for the caller and ends the loop early.
    fn run(&self, job: Job) {
        // SAFETY: the caller of `parallel_for` keeps the task alive until everybody has left the loop.
        let task = unsafe { &*job.task };
        let total = job.ends[MAX_PHASES - 1];
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut phase = 0;
            let mut start = 0;
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    break;
                }
                while index >= job.ends[phase] {
                    start = job.ends[phase];
                    phase += 1;
                }
                if phase > 0 && !self.wait_for(start) {
                    break;
                }
                task(phase, index - start);
                if job.phases > 1 {
                    self.done.fetch_add(1, Ordering::Release);
                }
            }
        }));
        if let Err(panic) = result {
            self.next.store(total, Ordering::Relaxed);
            self.panicked.store(true, Ordering::Release);
            lock(&self.panic).get_or_insert(panic);
        }
    }

    /// Waits until `count` indices are done; `false` when that will never be, after a panic.
    fn wait_for(&self, count: usize) -> bool {
        let mut spins = 0;
        while self.done.load(Ordering::Acquire) < count {
            if self.panicked.load(Ordering::Acquire) {
                return false;
            }
            spin(&mut spins);
        }
        true
    }

    /// Enters the loop if it is open and another one than `last`; answers with its number.
    fn enter(&self, last: u64) -> Option<u64> {
        let mut state = self.state.load(Ordering::SeqCst);
        while state & OPEN != 0 && state / NEXT_LOOP != last {
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::SeqCst,
            ) {
                Ok(_) => return Some(state / NEXT_LOOP),
                Err(now) => state = now,
            }
        }
        None
    }

    fn work(&self, asleep: &AtomicBool) {
        let mut last = 0;
        let mut spins = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let entered = self.enter(last);
            // What was left aside before a loop was opened does not wait for it.
            if self.has_background.load(Ordering::Acquire) {
                self.run_background();
                spins = 0;
            }
            if let Some(entered) = entered {
                last = entered;
                // SAFETY: this thread is inside of the loop, so the caller waits before it changes the job.
                let job = unsafe { *self.job.get() };
                self.run(job);
                self.state.fetch_sub(1, Ordering::AcqRel);
                spins = 0;
            } else if spins < WORKER_SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                // Announced before the last look, so that a caller who opens a loop after it sees the announcement.
                asleep.store(true, Ordering::SeqCst);
                let state = self.state.load(Ordering::SeqCst);
                let missed = state & OPEN != 0 && state / NEXT_LOOP != last
                    || self.has_background.load(Ordering::SeqCst);
                if !missed && !self.stop.load(Ordering::SeqCst) {
                    thread::park();
                }
                asleep.store(false, Ordering::SeqCst);
                spins = 0;
            }
        }
    }
}

impl Worker {
    fn spawn(index: usize, shared: Arc<Shared>) -> std::io::Result<Self> {
        let asleep = Arc::new(AtomicBool::new(false));
        let handle = thread::Builder::new()
            .name(format!("mlxm-cpu-{index}"))
            .spawn({
                let asleep = asleep.clone();
                move || shared.work(&asleep)
            })?;
        Ok(Self {
            thread: handle.thread().clone(),
            handle: Some(handle),
            asleep,
        })
    }

    /// Wakes it if it sleeps.
    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                // A worker catches the panics of tasks, and there is nobody to tell about its own.
                let _ = handle.join();
            }
        }
        self.shared.run_background();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}

/// One turn of waiting for a thread that is at work: gives the core away when it takes long, since that thread may need it.
fn spin(spins: &mut u32) {
    *spins += 1;
    if *spins < CALLER_SPINS {
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

/// Locks even after a panic: the value is a plain slot.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
