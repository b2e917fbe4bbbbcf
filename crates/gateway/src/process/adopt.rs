//! Workers of an earlier gateway: those that respond to their key are adopted, others are stopped.

use std::time::Duration;

use rustix::process::Signal;

use super::control::Control;
use super::launch::LaunchConfig;
use super::worker::signal_group;
use crate::server::{ProcessIdentity, ServerRecord};

/// Time for a worker to respond to its new owner.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(3);

/// Time between SIGTERM and SIGKILL. No one uses a worker that does not respond.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a process that is to exit is looked for.
const EXIT_INTERVAL: Duration = Duration::from_millis(50);

/// The process and port of a worker that now belongs to this gateway. `None` if its process is gone, belongs to another
/// program, or did not respond and has been killed.
pub async fn adopt(config: &LaunchConfig, record: &ServerRecord) -> Option<(ProcessIdentity, u16)> {
    let process = record.process.clone()?;
    if !process.is_alive() {
        return None;
    }
    if let Some(port) = record.port {
        let control = Control::new(port, config.keys.derive(record.id));
        match control.claim(std::process::id(), CLAIM_TIMEOUT).await {
            Ok(()) => return Some((process, port)),
            Err(error) => {
                tracing::warn!(pid = process.pid, "cannot adopt a running worker: {error}");
            }
        }
    }
    reap(&process).await;
    None
}

/// Stops a process and waits for its exit.
async fn reap(process: &ProcessIdentity) {
    for signal in [Signal::TERM, Signal::KILL] {
        if !process.is_alive() {
            return;
        }
        signal_group(process.pid, signal);
        let exit = async {
            while process.is_alive() {
                tokio::time::sleep(EXIT_INTERVAL).await;
            }
        };
        if tokio::time::timeout(REAP_TIMEOUT, exit).await.is_ok() {
            return;
        }
    }
    tracing::error!(
        pid = process.pid,
        "a worker of an earlier gateway cannot be killed"
    );
}
