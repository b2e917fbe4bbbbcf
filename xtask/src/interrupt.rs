//! Ctrl-C and SIGTERM for tasks that have to end other processes before they exit.

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The signal that was received, or 0.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn record(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::SeqCst);
}

/// Delays the effect of the signals until it is dropped. The task calls [`check`] until then.
pub struct InterruptGuard(());

impl InterruptGuard {
    pub fn start() -> Self {
        for signal in SIGNALS {
            // SAFETY: the handler only stores a number, which is async-signal-safe.
            unsafe { libc::signal(signal, record as *const () as libc::sighandler_t) };
        }
        Self(())
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        for signal in SIGNALS {
            // SAFETY: restores the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let signal = RECEIVED.swap(0, Ordering::SeqCst);
        if signal != 0 {
            // SAFETY: ends this process as the signal would have done.
            unsafe { libc::raise(signal) };
        }
    }
}

/// Returns an error after a signal.
pub fn check() -> Result<()> {
    if RECEIVED.load(Ordering::SeqCst) != 0 {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleeps, or returns an error after a signal.
pub fn pause(duration: Duration) -> Result<()> {
    let until = Instant::now() + duration;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(POLL_INTERVAL));
    }
}

/// Waits until `ready` returns a value; an error after `timeout` or a signal.
pub fn wait_for<T>(
    what: &str,
    timeout: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {:.1} s", timeout.as_secs_f64());
        }
        pause(POLL_INTERVAL)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_ends_with_the_value_or_names_what_did_not_happen() {
        let mut calls = 0;
        let second = wait_for("a second call", Duration::from_mins(1), || {
            calls += 1;
            Ok((calls == 2).then_some(calls))
        });
        assert_eq!(second.unwrap(), 2);
        let error = wait_for("nothing", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert!(error.to_string().contains("nothing"), "{error}");
    }
}
