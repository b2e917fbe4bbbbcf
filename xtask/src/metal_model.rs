//! A cost model of language models on Apple GPUs, checked against published measurements.
//!
//! This project is developed on Linux, where no Metal device exists. The model predicts the time of a step from what can be
//! counted without one: bytes of weights and cache, floating-point operations, dispatches, command buffers and waits.
//! [`cost`] has the formula, [`calibration`] its constants, [`published`] the measurements, and [`report`] compares them.

mod calibration;
mod chips;
mod cost;
mod dispatches;
mod document;
mod published;
mod report;
mod shapes;
mod traffic;

pub use document::{PATH, update};
pub use report::markdown;
