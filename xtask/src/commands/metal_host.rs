//! `cargo xtask metal-host`: the Metal kernels on a CPU.

use super::test::{PACKAGES, has_nextest};
use crate::prerequisites::{self, Prerequisite};
use crate::process;
use anyhow::Result;
use clap::Args;

/// Names a checkout of MLX, whose kernels are not part of this repository.
const MLX_SOURCE: &str = "MLXM_MLX_SOURCE";

/// Run the Metal kernels on the CPU, under several orders of their threads, and compare them with the CPU backend.
///
/// Linux only. docs/metal-host.md explains what this checks. With `--all` and the path of a checkout of MLX in the environment
/// variable MLXM_MLX_SOURCE, kernels of MLX are run, too.
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
    let runs_mlx = all && std::env::var_os(MLX_SOURCE).is_some();
    if all && !runs_mlx {
        eprintln!("the kernels of MLX are not run: {MLX_SOURCE} names no checkout");
    }
    let mut cargo = process::cargo();
    if has_nextest() {
        // All packages are selected and some tests by filter, so that nothing is rebuilt with other features.
        let tests = if all && !runs_mlx {
            "package(mlxm-metal-host) & !test(/^mlx::/)"
        } else {
            "package(mlxm-metal-host)"
        };
        cargo
            .args(["nextest", "run", "--no-fail-fast"])
            .args(PACKAGES)
            .args(["-E", tests]);
        if all {
            cargo.args(["--run-ignored", "all"]);
        }
    } else {
        cargo
            .args(["test", "--locked", "--no-fail-fast", "--package"])
            .args(["mlxm-metal-host", "--tests"]);
        if all {
            cargo.args(["--", "--include-ignored"]);
            if !runs_mlx {
                cargo.args(["--skip", "mlx::"]);
            }
        }
    }
    process::run(&mut cargo)
}
