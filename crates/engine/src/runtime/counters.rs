//! What an engine has done since it was loaded, readable while it works.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the engine was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Forward passes.
    pub steps: u64,
    /// Rows (tokens of prompts and of answers) that went through them.
    pub rows: u64,
    /// Operations issued to the device.
    pub dispatches: u64,
}

/// The worker's side of [`Counters`].
#[derive(Debug, Default)]
pub struct SharedCounters {
    steps: AtomicU64,
    rows: AtomicU64,
    dispatches: AtomicU64,
}

impl SharedCounters {
    /// Notes a step of `rows` rows; `dispatches` have been issued in all.
    pub fn note_step(&self, rows: usize, dispatches: u64) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.dispatches.store(dispatches, Ordering::Relaxed);
        // Last, so that whoever sees the step sees what belongs to it.
        self.steps.fetch_add(1, Ordering::Release);
    }

    /// The counts so far.
    pub fn read(&self) -> Counters {
        let steps = self.steps.load(Ordering::Acquire);
        Counters {
            steps,
            rows: self.rows.load(Ordering::Relaxed),
            dispatches: self.dispatches.load(Ordering::Relaxed),
        }
    }
}
