//! Every chore of the project as a subcommand: `cargo xtask --help` lists them.
//!
//! Whatever a chore downloads or sets up lives in one cache directory outside the clone (see [`cache`]), so a
//! second clone, or a second run, starts where the first one ended.

mod cache;
mod commands;
mod foreign;
mod llama_cpp;
mod node;
mod prerequisites;
mod process;
mod progress;
mod python;
mod starter;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

/// Chores of the mlxm project.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
enum Chore {
    Demo(commands::demo::Arguments),
    Test(commands::test::Arguments),
    Bench(Box<commands::bench::Arguments>),
    CheckMac(commands::check_mac::Arguments),
    Python(commands::python::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Chore::parse() {
        Chore::Demo(arguments) => commands::demo::execute(&arguments),
        Chore::Test(arguments) => commands::test::execute(&arguments),
        Chore::Bench(arguments) => commands::bench::execute(&arguments),
        Chore::CheckMac(arguments) => commands::check_mac::execute(&arguments),
        Chore::Python(arguments) => commands::python::execute(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
