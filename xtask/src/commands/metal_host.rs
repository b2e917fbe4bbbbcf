//! `cargo xtask metal-host`: the Metal kernels on a CPU.

use super::test::{PACKAGES, has_nextest};
use crate::prerequisites::{self, Prerequisite};
use crate::process;
use anyhow::Result;
use clap::Args;

/// Run the Metal kernels on the CPU, under several orders of their threads, and compare them with the CPU backend.
///
/// Linux only. docs/metal-host.md explains what this checks.
#[derive(Args)]
pub struct Arguments {
    /// Also run the tests that take long: every instantiation in every shape, and all mutants
    #[arg(long)]
    all: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers, Prerequisite::Clang])?;
    run(arguments.all)
}

/// The tests that run with every change, or all.
pub fn run(all: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("the Metal kernels are run on the CPU on Linux only");
        return Ok(());
    }
    let mut cargo = process::cargo();
    if has_nextest() {
        // All packages are selected and some tests by filter, so that nothing is rebuilt with other features.
        cargo
            .args(["nextest", "run", "--no-fail-fast"])
            .args(PACKAGES)
            .args(["-E", "package(mlxm-metal-host)"]);
        if all {
            cargo.args(["--run-ignored", "all"]);
        }
    } else {
        cargo
            .args(["test", "--locked", "--no-fail-fast", "--package"])
            .args(["mlxm-metal-host", "--tests"]);
        if all {
            cargo.args(["--", "--include-ignored"]);
        }
    }
    process::run(&mut cargo)
}
