//! Benchmarks of single kernels through the public interface of `mlxm-kernels`.
//!
//! Criterion measures and compares with its last run. At the end a table says what that is of the most this machine
//! can do: its memory bandwidth and its multiply-adds, both measured here with the same number of threads.

pub mod attention;
mod bench;
mod inputs;
pub mod linear;
mod machine;
mod peak;
pub mod small;

pub use bench::Bench;
