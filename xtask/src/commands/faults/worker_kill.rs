//! SIGKILL of one of two busy workers: the streams of the other one are not affected, its own end with the error of their
//! protocol, and it is started again.

use super::clients::{Clients, End, expect};
use super::environment::{Environment, Home};
use super::{Outcome, api, audit};
use crate::interrupt::{pause, wait_for};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// No more than the sequences of both workers, so that each has several streams at any time.
const CLIENTS: usize = 16;
const SEED: u64 = 17;

/// Shortest time under load before the kill, and time after the restart.
const LOAD: Duration = Duration::from_secs(2);

/// Longest time from the kill until the next worker is ready. As a step of the tests, where the build is not optimized and the
/// machine may be busy, the time is only reported.
const MAX_RESTART: Duration = Duration::from_secs(3);

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::with_starter(environment)?;
    let gateway = home.start()?;
    let [killed, other] = api::start_workers(&gateway)?;
    let earlier = audit::wait_for_rows(&gateway, 2)?.len();
    let clients = Clients {
        address: gateway.address(),
        count: CLIENTS,
        seed: SEED,
        disconnects: 0.0,
    };
    let (restart, sent) = clients.run(|| {
        pause(LOAD)?;
        // Each client has begun another request.
        audit::wait_for_ended(&gateway, earlier + CLIENTS)?;
        // SAFETY: kills a worker of this gateway, which has just been running.
        unsafe { libc::kill(killed.pid.cast_signed(), libc::SIGKILL) };
        let at = Instant::now();
        wait_for("the next worker", api::LOAD_TIMEOUT, || {
            let workers = api::workers(&gateway)?;
            let mut next = workers
                .iter()
                .filter(|worker| worker.profile == killed.profile && worker.pid != killed.pid);
            Ok(next.any(|worker| worker.is_ready).then_some(()))
        })?;
        let restart = at.elapsed();
        pause(LOAD)?;
        Ok(restart)
    })?;
    expect(
        &sent,
        "of the other worker, or without an error event, failed",
        |sent| {
            sent.end.is_complete() || (sent.profile == killed.profile && sent.end.is_worker_exit())
        },
    )?;
    let failed = sent.iter().filter(|sent| sent.end.is_worker_exit()).count();
    let in_streams = sent
        .iter()
        .filter(|sent| matches!(sent.end, End::Failed(_)));
    let in_streams = in_streams.count();
    if in_streams == 0 {
        bail!(
            "the killed worker had no stream: {failed} of {} requests failed",
            sent.len()
        );
    }
    let rows = audit::wait_for_rows(&gateway, earlier + sent.len())?;
    audit::compare(&sent, &rows)?;
    let [_, still] = api::workers_of_profiles(&gateway)?;
    if still != other {
        bail!("the other worker was replaced: {still:?} instead of {other:?}");
    }
    if restart > MAX_RESTART && !environment.is_test() {
        bail!(
            "the worker was ready after {:.2} s, more than {} s",
            restart.as_secs_f64(),
            MAX_RESTART.as_secs()
        );
    }
    home.stop(gateway)?;
    Ok(Outcome::Passed(format!(
        "ready again after {:.2} s (limit {} s); of {} requests, {in_streams} ended with an error event and {} with an error \
         status, all others are complete",
        restart.as_secs_f64(),
        MAX_RESTART.as_secs(),
        sent.len(),
        failed - in_streams
    )))
}
