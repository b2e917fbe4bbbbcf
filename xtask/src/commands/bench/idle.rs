//! Waits until the machine is idle.

use super::machine::load_average;
use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A load average above this means that other programs are running.
pub const IDLE: f64 = 0.7;

/// How long this task's own preparation (a build, a conversion) may show in the load average.
const IDLE_TIMEOUT: Duration = Duration::from_mins(4);

/// Returns the load average once it is low enough; `None` if the system does not report it.
///
/// A machine that stays busy is an error, or with `force` a warning.
pub fn wait(force: bool) -> Result<Option<f64>> {
    let started = Instant::now();
    let mut reported = false;
    loop {
        let Some(load) = load_average() else {
            return Ok(None);
        };
        if load <= IDLE {
            return Ok(Some(load));
        }
        if force {
            eprintln!(
                "warning: the load average is {load:.2}; results of a busy machine are unreliable"
            );
            return Ok(Some(load));
        }
        if started.elapsed() >= IDLE_TIMEOUT {
            bail!(
                "the load average is {load:.2}, above {IDLE}: other programs are running\n\
                 Stop them and try again, or use --force to measure anyway and mark the result as unofficial"
            );
        }
        if !reported {
            eprintln!("the load average is {load:.2}; waiting until it is at most {IDLE}");
            reported = true;
        }
        sleep(Duration::from_secs(5));
    }
}
