//! Runs the cases of a target.

use std::any::Any;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::allocator::measure;
use crate::targets::{Subject, Target};

/// Memory that a case may take in addition to twice its input.
const BASE_BYTES: usize = 64 << 20;

/// A case that takes longer will not end.
const MAX_DURATION: Duration = Duration::from_secs(20);

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The target.
    pub target: &'static str,
    /// The number of the case.
    pub case: u64,
    /// What happened.
    pub problem: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}; repeat it with `cargo xtask fuzz {0} --case {}`",
            self.target, self.problem, self.case
        )
    }
}

impl std::error::Error for Failure {}

/// A target with its examples.
pub struct Runner {
    target: &'static Target,
    seeds: Vec<Vec<u8>>,
    subject: Subject,
    /// Has the number of the current case, in case that the process is killed by it.
    marker: PathBuf,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("target", &self.target.name)
            .field("seeds", &self.seeds.len())
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Prepares a target.
    ///
    /// # Errors
    /// If its examples cannot be read, or its files or sockets cannot be created.
    pub fn new(target: &'static Target) -> anyhow::Result<Self> {
        let seeds = (target.seeds)()?;
        anyhow::ensure!(!seeds.is_empty(), "{} has no examples", target.name);
        Ok(Self {
            target,
            seeds,
            subject: (target.open)()?,
            marker: std::env::temp_dir().join(format!("mlxm-fuzz-{}", target.name)),
        })
    }

    /// Number of examples. Cases below this number are the examples themselves.
    pub fn examples(&self) -> u64 {
        self.seeds.len() as u64
    }

    /// The file with the number of the current case.
    pub fn marker(&self) -> &Path {
        &self.marker
    }

    /// The input of a case.
    pub fn input(&self, case: u64) -> Vec<u8> {
        if let Some(seed) = self.seeds.get(usize::try_from(case).unwrap_or(usize::MAX)) {
            return seed.clone();
        }
        let mut rng = Rng::with_seed(case);
        let mut pick = || &self.seeds[rng.usize(..self.seeds.len())];
        let (seed, other) = (pick(), pick());
        (self.target.mutate)(&mut rng, seed, other)
    }

    /// Runs a case. Returns whether its input was accepted.
    ///
    /// # Errors
    /// If it panics, takes too much memory or time, or cannot be run.
    pub fn run(&mut self, case: u64) -> Result<bool, Failure> {
        let failure = |problem: String| Failure {
            target: self.target.name,
            case,
            problem,
        };
        let input = self.input(case);
        fs::write(&self.marker, case.to_string())
            .map_err(|error| failure(format!("cannot write a temporary file: {error}")))?;
        let started = Instant::now();
        let subject = &mut self.subject;
        let (outcome, used_bytes) = measure(|| catch_unwind(AssertUnwindSafe(|| subject(&input))));
        let accepted = outcome
            .map_err(|panic| failure(format!("panicked: {}", message(panic.as_ref()))))?
            .map_err(|error| failure(format!("could not be run: {error:#}")))?;
        let max_bytes = 2 * input.len() + BASE_BYTES;
        if used_bytes > max_bytes {
            return Err(failure(format!(
                "took {used_bytes} bytes of memory for an input of {} bytes; at most {max_bytes} are allowed",
                input.len()
            )));
        }
        let duration = started.elapsed();
        if duration > MAX_DURATION {
            return Err(failure(format!("took {duration:.1?}")));
        }
        Ok(accepted)
    }
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
