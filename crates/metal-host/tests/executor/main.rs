//! Runs kernels on the CPU.

#![expect(clippy::unwrap_used, reason = "panics fail the test")]

mod address_spaces;
mod candle;
mod checks;
mod kernels;
mod language;
mod lint;
mod loads;
mod mlx;
mod support;
