//! One worker process: `mlxm serve --model` as a child in its own process group, on the loopback interface.
//!
//! - `launch`: the command line, environment and log file. `contract`: the lines of its standard output.
//! - `worker`: the task that follows a process from spawn to exit. `control`: requests to it. `health`: unresponsive or hung.
//! - `exit`: why it exited. `restart`: whether and when it is started again.
//! - `adopt`: workers of an earlier gateway. `identity`: which process it is. `key`: its API key.
//! - `log_file`: rotation and the last lines of its log. `log_tail`: reading it while it grows.
//!   `log_writer`: the gateway's own.

pub(crate) mod adopt;
mod contract;
mod control;
mod exit;
mod health;
mod identity;
mod key;
mod launch;
mod log_file;
mod log_tail;
mod log_writer;
pub(crate) mod restart;
pub(crate) mod worker;

pub use contract::Failed;
pub use exit::ExitCause;
pub(crate) use identity::resident_bytes;
pub use identity::{ProcessUse, process_use};
pub use key::WorkerKeys;
pub(crate) use launch::inherited_environment;
pub use launch::{LaunchConfig, Timings};
pub use log_file::{LogFile, remove_old_logs};
pub use log_tail::{LogHistory, LogLine, LogPosition, LogTail};
pub use log_writer::LogWriter;
