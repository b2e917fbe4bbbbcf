//! A bounded number of cases of every target.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::sync::{Mutex, PoisonError};

use mlxm_fuzz::{Runner, TARGETS, Target, TrackingAllocator};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// One target at a time, because memory is counted for the whole process.
static RUNNING: Mutex<()> = Mutex::new(());

#[track_caller]
fn fuzz(name: &str, cases: u64) {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut runner = Runner::new(Target::find(name).unwrap()).unwrap();
    let examples = runner.examples();
    let mut rejected = 0;
    for case in 0..examples + cases {
        let accepted = runner
            .run(case)
            .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(accepted || case >= examples, "example {case} is rejected");
        rejected += u64::from(!accepted);
    }
    // Otherwise the input is not read.
    assert!(rejected > 0, "every case was accepted");
}

#[test]
fn safetensors() {
    fuzz("safetensors", 2000);
}

#[test]
fn config() {
    fuzz("config", 2000);
}

#[test]
fn tokenizer() {
    fuzz("tokenizer", 2000);
}

#[test]
fn template() {
    fuzz("template", 3000);
}

#[test]
fn gguf() {
    fuzz("gguf", 2000);
}

#[test]
fn hub() {
    fuzz("hub", 500);
}

#[test]
fn cases_are_deterministic_and_differ() {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for target in TARGETS {
        let runner = Runner::new(target).unwrap();
        let first = runner.examples();
        let inputs: Vec<Vec<u8>> = (first..first + 20).map(|case| runner.input(case)).collect();
        for (case, input) in (first..).zip(&inputs) {
            assert_eq!(&runner.input(case), input, "{} {case}", target.name);
        }
        let mut different = inputs.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 15, "{}", target.name);
    }
}
