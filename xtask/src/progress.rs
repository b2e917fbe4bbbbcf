//! Progress messages of a task.

use anyhow::Result;
use std::time::Instant;

/// Numbered steps with the time since the start.
pub struct Progress {
    started: Instant,
    steps: usize,
    current: usize,
}

impl Progress {
    /// For a task of `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self {
            started: Instant::now(),
            steps,
            current: 0,
        }
    }

    /// Announces the next step, runs it, and prints its duration.
    pub fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.current += 1;
        eprintln!("\n[{}/{}] {what}", self.current, self.steps);
        let started = Instant::now();
        let outcome = work()?;
        eprintln!(
            "      done in {:.1} s ({:.0} s since the start)",
            started.elapsed().as_secs_f64(),
            self.started.elapsed().as_secs_f64()
        );
        Ok(outcome)
    }
}
