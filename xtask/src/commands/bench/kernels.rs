//! `cargo xtask bench kernels`: single operations against what the machine can do.

use super::quiet;
use crate::prerequisites::{self, Prerequisite};
use crate::process;
use anyhow::Result;
use clap::Args;

/// Measure every kernel by itself, against the machine's bandwidth and arithmetic.
#[derive(Args)]
pub struct Arguments {
    /// Only the benchmarks whose name this regular expression matches
    filter: Option<String>,
    /// Measure on a busy machine, too
    #[arg(long)]
    force: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers])?;
    let cargo = || {
        let mut cargo = process::cargo();
        cargo.args(["bench", "--locked", "--package", "mlxm-benches"]);
        cargo
    };
    process::run(cargo().arg("--no-run"))?;
    quiet::wait(arguments.force)?;
    process::run(cargo().arg("--").args(&arguments.filter))
}
