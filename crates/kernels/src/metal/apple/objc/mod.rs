//! [`Driver`](super::driver::Driver) over Apple's frameworks.

mod commands;
mod device;
mod residency;

pub(super) use device::{Driver, Requirements};
