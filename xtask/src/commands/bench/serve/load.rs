//! Who asks when: clients that wait for their answers, or arrivals that do not.

use super::client::{Client, Exchange};
use super::workload::Request;
use anyhow::{Result, bail};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Run {
    pub started: Instant,
    /// When there was no more work for one of the clients, or the last answer ended.
    pub saturated_until: Instant,
    pub exchanges: Vec<Exchange>,
}

/// A closed loop: so many clients, each of which sends its next request when it has the answer to its last one, until
/// all requests are sent.
pub fn closed(address: &str, clients: usize, requests: &[Request]) -> Result<Run> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let one_client = || {
        let client = Client::new(address);
        let mut exchanges = Vec::new();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            exchanges.push(client.ask(request, Instant::now()));
        }
        (exchanges, Instant::now())
    };
    let ended = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one_client)).collect();
        join(threads)
    })?;
    let saturated_until = ended.iter().map(|(_, at)| *at).min().unwrap_or(started);
    Ok(Run {
        started,
        saturated_until,
        exchanges: ended
            .into_iter()
            .flat_map(|(exchanges, _)| exchanges)
            .collect(),
    })
}

/// An open loop: each request is sent when it is due, whatever became of those before it.
pub fn open(address: &str, arrivals: &[Duration], requests: &[Request]) -> Result<Run> {
    let client = Client::new(address);
    let started = Instant::now();
    let exchanges = thread::scope(|scope| {
        let threads: Vec<_> = arrivals
            .iter()
            .zip(requests)
            .map(|(arrival, request)| {
                let due = started + *arrival;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let client = client.clone();
                scope.spawn(move || client.ask(request, due))
            })
            .collect();
        join(threads)
    })?;
    let last = exchanges.iter().map(|exchange| exchange.ended).max();
    Ok(Run {
        started,
        saturated_until: last.unwrap_or(started),
        exchanges,
    })
}

fn join<T>(threads: Vec<thread::ScopedJoinHandle<'_, T>>) -> Result<Vec<T>> {
    let mut results = Vec::with_capacity(threads.len());
    for thread in threads {
        match thread.join() {
            Ok(result) => results.push(result),
            Err(_) => bail!("a thread of a client panicked"),
        }
    }
    Ok(results)
}
