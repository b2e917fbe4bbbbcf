//! Runs kernels in the Metal Shading Language on the CPU, so that they can be tested on machines without Metal.
//!
//! [`Library::compile`] rewrites the source into C++ and checks it with clang, [`Library::function`] compiles one kernel for given
//! function constants, and [`run`] executes dispatches: the threads of a threadgroup are fibers that switch at barriers and at
//! operations of their simdgroup, in an [`Order`] that a test chooses. docs/metal-host.md describes what is checked and what is not.

mod cache;
mod compiler;
mod device;
mod error;
mod function;
mod library;
mod lint;
mod rewrite;
mod run;
pub mod sanitizer;

pub use device::{BindingLoads, DispatchLoads, HostDevice, HostDeviceOptions};
pub use error::Error;
pub use function::{AddressSpace, BufferArgument, Function, ThreadgroupArgument};
pub use library::{Constant, Library, Options};
pub use lint::{Finding, lint};
pub use run::{Bound, Dispatch, Loads, Order, run, run_traced};
