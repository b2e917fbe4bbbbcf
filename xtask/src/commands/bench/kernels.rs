//! `cargo xtask bench kernels`: single kernels compared with the machine's memory bandwidth and peak arithmetic.

use super::idle;
use crate::prerequisites::{self, Prerequisite};
use crate::process;
use anyhow::Result;
use clap::Args;

/// Measure each kernel alone, relative to the machine's memory bandwidth and peak arithmetic.
#[derive(Args)]
pub struct Arguments {
    /// Only benchmarks whose name matches this regular expression
    filter: Option<String>,
    /// Also measure on a busy machine
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
    idle::wait(arguments.force)?;
    process::run(cargo().arg("--").args(&arguments.filter))
}
