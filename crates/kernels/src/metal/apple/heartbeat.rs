//! A thread that keeps memory wired for some minutes after the last use.
//!
//! The system unwires residency sets of an idle process too; requesting them again in time prevents that (llama.cpp #17766).

use std::{
    fmt::{self, Debug, Formatter},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Time between two beats, and from a use to the first one.
const PERIOD: Duration = Duration::from_millis(500);

/// Beats end this long after the last use.
const KEEP: Duration = Duration::from_mins(3);

/// What the thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Sleeps for this long, or until the next use if there is none.
    Sleep(Option<Duration>),
    /// Beats.
    Beat,
}

/// What to do this long after the last use (`None` before the first) and the last beat.
pub(super) fn next(since_use: Option<Duration>, since_beat: Duration) -> Next {
    let Some(since_use) = since_use.filter(|elapsed| *elapsed < KEEP) else {
        return Next::Sleep(None);
    };
    match PERIOD.checked_sub(since_use.min(since_beat)) {
        Some(rest) if !rest.is_zero() => Next::Sleep(Some(rest)),
        _ => Next::Beat,
    }
}

/// The thread. It ends when this is dropped.
pub(super) struct Heartbeat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    last_use: Option<Instant>,
    /// The thread waits for the next use.
    asleep: bool,
    stop: bool,
}

impl Heartbeat {
    /// Starts a thread that calls `beat`.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(mut beat: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                last_use: None,
                asleep: false,
                stop: false,
            }),
            wake: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("metal-residency".into())
            .spawn(move || own.run(&mut beat))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The GPU is used now.
    pub fn used(&self) {
        let mut state = self.shared.lock();
        state.last_use = Some(Instant::now());
        if state.asleep {
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, beat: &mut impl FnMut()) {
        let mut last_beat = Instant::now();
        let mut state = self.lock();
        while !state.stop {
            let since_use = state.last_use.map(|last_use| last_use.elapsed());
            match next(since_use, last_beat.elapsed()) {
                Next::Beat => {
                    drop(state);
                    beat();
                    last_beat = Instant::now();
                    state = self.lock();
                }
                Next::Sleep(Some(duration)) => {
                    let woken = self.wake.wait_timeout(state, duration);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::Sleep(None) => {
                    state.asleep = true;
                    let woken = self.wake.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                    state.asleep = false;
                }
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

impl Debug for Heartbeat {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Heartbeat").finish_non_exhaustive()
    }
}
