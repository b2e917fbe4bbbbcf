//! Benchmarks of single kernels through the public interface of `mlxm-kernels`.
//!
//! Criterion measures and compares with its previous run. A table at the end relates the results to the limits of this
//! machine: memory bandwidth and multiply-add throughput, both measured here with the same number of threads.

pub mod attention;
mod bench;
mod inputs;
pub mod linear;
mod machine;
mod peak;
pub mod small;

pub use bench::Bench;
