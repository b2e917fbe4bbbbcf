//! A pool of persistent worker threads that run one parallel loop at a time.
//!
//! An operation of a small model takes a few microseconds, so workers spin for about 100 µs between loops before they
//! sleep. A loop never waits for a worker that has not joined it: a late worker finds the loop closed.
//!
//! # Protocol
//! `state` packs the number of the current loop, an open flag, and the number of active workers. A worker joins with
//! a compare-and-swap that succeeds only while the loop is open. The caller closes the loop when no index is left and
//! waits until no worker is active, so the job may borrow from the caller's stack.
//!
//! A loop may have several phases, which is cheaper than several loops: the indices of all phases are handed out in
//! order, and a thread that takes an index of a later phase first waits until all earlier indices are done.
//!
//! Background tasks run on a worker between two loops; a loop that is opened meanwhile runs without that worker.

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

use crate::shared::SharedOutput;

/// Iterations of the spin loop before a worker sleeps, about 100 µs.
const WORKER_SPINS: u32 = 3_000;
/// Iterations before a thread that waits for another one yields its core.
const CALLER_SPINS: u32 = 10_000;

const ACTIVE: u64 = (1 << 31) - 1;
const OPEN: u64 = 1 << 31;
const NEXT_LOOP: u64 = 1 << 32;

/// A fixed set of threads; the caller of [`ThreadPool::parallel_for`] is one of them.
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held while a loop runs. A second caller or a nested loop does not wait for it but runs on its own thread.
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
    /// Whether `background` is not empty.
    has_background: AtomicBool,
}

/// A task that no thread waits for.
type BackgroundTask = Box<dyn FnOnce() + Send>;

/// Called with a phase and an index.
type Task = dyn Fn(usize, usize) + Sync;

/// Maximum number of phases of a loop.
pub(crate) const MAX_PHASES: usize = 4;

#[derive(Clone, Copy)]
struct Job {
    task: *const Task,
    /// One past each phase's last index; unused phases are empty.
    ends: [usize; MAX_PHASES],
    phases: usize,
}

// SAFETY: `job` is written only by the holder of `ThreadPool::running` while the loop is closed and no worker is active,
// and read only by active workers. The transitions of `state` order the two. All other fields are `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: the task that `job` points to is `Sync`, and dereferenced only during a loop, whose caller keeps it alive.
unsafe impl Send for Shared {}

impl ThreadPool {
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
        // If the system cannot create more threads, the pool works with those it has.
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
    /// Runs on the calling thread alone if another caller uses the pool. A panic of `task` is resumed here after all
    /// threads have left the loop.
    pub fn parallel_for(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        self.parallel_phases(&[count], &|_, index| task(index));
    }

    /// Calls `task(phase, index)` once for every index below `counts[phase]`, all of a phase before any of the next,
    /// and returns when all calls have returned. Otherwise as [`ThreadPool::parallel_for`].
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
        // SAFETY: only the lifetime changes. This function does not return or unwind before the loop is closed and no
        // worker is active: until then it calls nothing that panics, and `run` catches panics. So the task is not
        // called afterwards.
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
        // SAFETY: this thread holds `running`, and no worker has been active since the last loop, so no thread
        // accesses the job.
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

    /// Calls `visit(row, values)` for each of the `rows` rows of `width` values, each once, and returns when all calls
    /// have returned.
    pub fn for_each_row(
        &self,
        values: &mut [f32],
        rows: usize,
        width: usize,
        visit: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) {
        assert!(values.len() == rows * width);
        let shared = SharedOutput::new(values);
        self.parallel_for(rows, &|row| {
            // SAFETY: every row is visited once, and rows do not overlap, so there is no other reference to this part.
            let values = unsafe { shared.part(row * width, width) };
            visit(row, values);
        });
    }

    /// Runs `task` on a worker between two loops without waiting for it, or on the calling thread if there are no
    /// workers.
    pub fn spawn_background(&self, task: BackgroundTask) {
        if self.workers.is_empty() {
            return task();
        }
        lock(&self.shared.background).push(task);
        // Set before looking for sleeping workers: a worker sets `asleep` before it checks for work a last time.
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
    /// Runs the background tasks. A panic of a task is ignored.
    fn run_background(&self) {
        self.has_background.store(false, Ordering::SeqCst);
        let tasks = std::mem::take(&mut *lock(&self.background));
        for task in tasks {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(task)) {
                // Dropping the payload could panic again and end this worker while it is active in a loop.
                std::mem::forget(panic);
            }
        }
    }

    /// Takes indices until none is left. The first panic is stored for the caller and ends the loop early.
    fn run(&self, job: Job) {
        // SAFETY: `job` is the job of the current loop, in which this thread is active, so the task is alive.
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
            let mut first = lock(&self.panic);
            if first.is_none() {
                *first = Some(panic);
            } else {
                // Dropping the payload could panic again, and unwind while other threads still run the task.
                std::mem::forget(panic);
            }
        }
    }

    /// Waits until `count` indices are done; returns `false` if a panic prevents it.
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

    /// Joins the loop if it is open and not number `last`; returns its number.
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
            // Background tasks that were queued before the loop opened do not wait for its end.
            if self.has_background.load(Ordering::Acquire) {
                self.run_background();
                spins = 0;
            }
            if let Some(entered) = entered {
                last = entered;
                // SAFETY: this thread is active in the loop, so no thread writes the job.
                let job = unsafe { *self.job.get() };
                self.run(job);
                self.state.fetch_sub(1, Ordering::AcqRel);
                spins = 0;
            } else if spins < WORKER_SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                // Set before the last check for work, so that a caller that opens a loop after the check sees it.
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

    /// Wakes the worker if it sleeps.
    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                // Workers catch the panics of tasks; a panic of the worker itself cannot be reported from `drop`.
                let _ = handle.join();
            }
        }
        self.shared.run_background();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadPool({} threads)", self.threads())
    }
}

/// One iteration of waiting for a running thread. Yields the core after a while, since that thread may need it.
fn spin(spins: &mut u32) {
    *spins += 1;
    if *spins < CALLER_SPINS {
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

/// Locks the mutex, ignoring poisoning: a panic cannot leave the value inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
