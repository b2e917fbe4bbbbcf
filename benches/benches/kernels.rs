//! `cargo bench --package mlxm-benches`: every kernel compared with the limits of this machine.

use std::env;

use mlxm_benches::{Bench, attention, linear, small};

fn main() {
    // Cargo passes `--bench` to benchmarks; a test run should not spend the time.
    if !env::args().any(|argument| argument == "--bench") {
        eprintln!("nothing to test here; run `cargo bench --package mlxm-benches`");
        return;
    }
    let mut bench = Bench::new();
    linear::run(&mut bench);
    attention::run(&mut bench);
    small::run(&mut bench);
    bench.finish();
}
