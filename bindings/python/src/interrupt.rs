//! Ctrl-C during long calls: the work runs without the GIL, and signals are handled in between.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use mlxm_engine::Scoring;
use pyo3::prelude::*;

use crate::error::{PyResultExt, rejected};

/// Interval at which signals such as Ctrl-C are handled.
pub const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits for the result of `scoring`. The exception of a signal handler cancels it and is returned at once.
pub fn wait<T: Send>(py: Python<'_>, mut scoring: Scoring<T>) -> PyResult<T> {
    loop {
        if let Some(result) = py.detach(|| scoring.wait_timeout(SIGNAL_INTERVAL)) {
            return result.py();
        }
        py.check_signals()?;
    }
}

/// Runs `work` on another thread and returns its result. After the exception of a signal handler, which is returned at once,
/// `cancel` is called and the thread ends on its own.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
    cancel: impl FnOnce(),
) -> PyResult<T> {
    let (sender, mut receiver) = channel();
    let thread = std::thread::spawn(move || {
        // The receiver is dropped after an interrupt.
        let _ = sender.send(work());
    });
    loop {
        let (returned, received) = py.detach(move || {
            let received = receiver.recv_timeout(SIGNAL_INTERVAL);
            (receiver, received)
        });
        receiver = returned;
        match received {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = py.check_signals() {
                    cancel();
                    return Err(interrupt);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return match thread.join() {
                    Ok(()) => Err(rejected("the call ended without a result")),
                    Err(panic) => resume_unwind(panic),
                };
            }
        }
    }
}
