//! Waits until the machine has nothing else to do.

use super::machine::load_average;
use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A load average above this means that something else is running.
pub const IDLE: f64 = 0.7;

/// How long what this chore did itself (a build, a conversion) may echo in the load average.
const PATIENCE: Duration = Duration::from_mins(4);

/// The load average to begin with, once it is low enough.
///
/// A machine that does not come to rest is an error, or with `force` a warning.
pub fn wait(force: bool) -> Result<Option<f64>> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let Some(load) = load_average() else {
            return Ok(None);
        };
        if load <= IDLE {
            return Ok(Some(load));
        }
        if force {
            eprintln!(
                "warning: the load average is {load:.2}; figures from a busy machine mean little"
            );
            return Ok(Some(load));
        }
        if started.elapsed() >= PATIENCE {
            bail!(
                "the load average is {load:.2}, above {IDLE}: something else is running\n\
                 End it and try again, or measure all the same with --force, which marks the result"
            );
        }
        if !told {
            eprintln!("the load average is {load:.2}; waiting until it is at most {IDLE}");
            told = true;
        }
        sleep(Duration::from_secs(5));
    }
}
