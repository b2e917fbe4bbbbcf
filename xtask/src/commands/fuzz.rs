//! `cargo xtask fuzz`: mutated files and hub responses for every parser.

use crate::prerequisites::{self, Prerequisite};
use crate::process;
use anyhow::Result;
use clap::Args;

/// Feed mutated files and hub responses to every parser: no panic, no abort, bounded memory.
///
/// The tests do the same with a fixed number of cases. Each case has a number, with which it can be repeated.
#[derive(Args)]
pub struct Arguments {
    /// One target: safetensors, config, tokenizer, template, gguf or hub [default: all]
    target: Option<String>,

    /// How long, all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Run this case only
    #[arg(long, requires = "target", conflicts_with = "seconds")]
    case: Option<u64>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers])?;
    let mut cargo = process::cargo();
    cargo.args([
        "run",
        "--profile",
        "fuzz",
        "--locked",
        "--package",
        "mlxm-fuzz",
        "--",
    ]);
    cargo.args(&arguments.target);
    match arguments.case {
        Some(case) => cargo.args(["--case", &case.to_string()]),
        None => cargo.args(["--seconds", &arguments.seconds.to_string()]),
    };
    process::run(&mut cargo)
}
