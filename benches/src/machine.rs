//! The measured limits of this machine.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::peak::{self, Loop};

/// Memory that each thread reads: more than any cache holds.
const BYTES_PER_THREAD: usize = 256 << 20;
/// The best of several measurements counts, since disturbances only slow them down.
const ATTEMPTS: usize = 5;
const ATTEMPT: Duration = Duration::from_millis(60);

/// A peak and the instructions that reach it.
pub struct Peak {
    pub instructions: &'static str,
    /// Multiplications and additions.
    pub operations_per_second: f64,
}

/// The combined limits of a number of threads.
pub struct Limits {
    pub threads: usize,
    pub bytes_per_second: f64,
    /// `None` if [`peak`] has no loop for this CPU.
    pub int8: Option<Peak>,
    pub float: Option<Peak>,
}

impl Limits {
    /// Takes about two seconds.
    pub fn measure(threads: usize) -> Self {
        Self {
            threads,
            bytes_per_second: bandwidth(threads),
            int8: peak::int8().map(|peak| operations(threads, peak)),
            float: peak::float().map(|peak| operations(threads, peak)),
        }
    }
}

/// Bytes per second that all threads read together.
fn bandwidth(threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let slowest = on_threads(threads, || {
        // Written, so that every page is committed.
        let words: Vec<u64> = (0..BYTES_PER_THREAD / size_of::<u64>())
            .map(|word| word as u64)
            .collect();
        let times = (0..ATTEMPTS).map(|_| {
            barrier.wait();
            let started = Instant::now();
            black_box(sum(black_box(&words)));
            started.elapsed()
        });
        times.collect()
    });
    (threads * BYTES_PER_THREAD) as f64 / slowest
}

/// Sums with enough independent chains that loads are the bottleneck.
fn sum(words: &[u64]) -> u64 {
    const CHAINS: usize = 32;
    let mut sums = [0_u64; CHAINS];
    for words in words.as_chunks::<CHAINS>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// Operations per second of a loop on all threads.
fn operations(threads: usize, peak: Loop) -> Peak {
    let mut rounds = 1_000;
    loop {
        let started = Instant::now();
        (peak.run)(rounds);
        if started.elapsed() > ATTEMPT {
            break;
        }
        rounds *= 2;
    }
    let barrier = Barrier::new(threads);
    let slowest = on_threads(threads, || {
        let times = (0..ATTEMPTS).map(|_| {
            barrier.wait();
            let started = Instant::now();
            (peak.run)(rounds);
            started.elapsed()
        });
        times.collect()
    });
    Peak {
        instructions: peak.instructions,
        operations_per_second: (threads * rounds * peak.operations_per_round) as f64 / slowest,
    }
}

/// The seconds of the attempt whose slowest thread was fastest.
fn on_threads(threads: usize, work: impl Fn() -> Vec<Duration> + Sync) -> f64 {
    let times: Vec<Vec<Duration>> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        handles
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .collect()
    });
    (0..ATTEMPTS)
        .filter_map(|attempt| times.iter().map(|times| times[attempt]).max())
        .min()
        .map_or(f64::INFINITY, |time| time.as_secs_f64())
}
