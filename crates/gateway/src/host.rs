//! This machine, and what it allows this process.

use rustix::process::{Resource, getrlimit};
use sysinfo::System;

/// The name of this machine in its network; `localhost` if it has none.
pub fn host_name() -> String {
    let name = System::host_name().filter(|name| !name.trim().is_empty());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// How many files this process may have open, connections included; `None` without a limit.
pub fn max_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
