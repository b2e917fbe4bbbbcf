//! Load generators: a closed loop of clients and an open loop of arrivals.

use super::client::{Client, RequestOutcome};
use super::workload::Request;
use anyhow::{Result, bail};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The requests of one run.
#[derive(Clone, Debug)]
pub struct Run {
    pub started: Instant,
    /// When the first client ran out of requests, or in the open loop the end of the last response.
    pub saturated_until: Instant,
    pub outcomes: Vec<RequestOutcome>,
}

/// A closed loop: each client sends its next request when the previous response is complete, until all requests are sent.
pub fn closed(client: &Client, clients: usize, requests: &[Request]) -> Result<Run> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let one_client = || {
        let mut outcomes = Vec::new();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            outcomes.push(client.complete(request, Instant::now()));
        }
        (outcomes, Instant::now())
    };
    let ended = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one_client)).collect();
        join(threads)
    })?;
    let saturated_until = ended.iter().map(|(_, at)| *at).min().unwrap_or(started);
    Ok(Run {
        started,
        saturated_until,
        outcomes: ended
            .into_iter()
            .flat_map(|(outcomes, _)| outcomes)
            .collect(),
    })
}

/// An open loop: each request is sent when it is due, without waiting for earlier ones.
pub fn open(client: &Client, arrivals: &[Duration], requests: &[Request]) -> Result<Run> {
    let started = Instant::now();
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = arrivals
            .iter()
            .zip(requests)
            .map(|(arrival, request)| {
                let due = started + *arrival;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let client = client.clone();
                scope.spawn(move || client.complete(request, due))
            })
            .collect();
        join(threads)
    })?;
    let last = outcomes.iter().map(|outcome| outcome.ended).max();
    Ok(Run {
        started,
        saturated_until: last.unwrap_or(started),
        outcomes,
    })
}

fn join<T>(threads: Vec<thread::ScopedJoinHandle<'_, T>>) -> Result<Vec<T>> {
    let mut results = Vec::with_capacity(threads.len());
    for thread in threads {
        match thread.join() {
            Ok(result) => results.push(result),
            Err(_) => bail!("a client thread panicked"),
        }
    }
    Ok(results)
}
