//! The project's development tasks as subcommands; `cargo xtask --help` lists them.
//!
//! Downloads, toolchains and environments are kept in one cache directory outside the clone (see [`cache`]), which all
//! clones share.

mod cache;
mod chromium;
mod clang;
mod commands;
mod cross;
mod gateway;
mod http;
mod interrupt;
mod llama_cpp;
mod metal_model;
mod mlxm;
mod node;
mod packages;
mod postgres;
mod prerequisites;
mod process;
mod progress;
mod python;
mod resource_usage;
mod server;
mod starter;
mod web;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

/// Development tasks of the mlxm project.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
enum Task {
    Demo(commands::demo::Arguments),
    Install(commands::install::Arguments),
    Test(commands::test::Arguments),
    Bench(Box<commands::bench::Arguments>),
    Web(commands::web::Arguments),
    CheckMac(commands::check_mac::Arguments),
    MetalHost(commands::metal_host::Arguments),
    MetalModel(commands::metal_model::Arguments),
    Python(commands::python::Arguments),
    Fuzz(commands::fuzz::Arguments),
    Faults(commands::faults::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Demo(arguments) => commands::demo::execute(&arguments),
        Task::Install(arguments) => commands::install::execute(&arguments),
        Task::Test(arguments) => commands::test::execute(&arguments),
        Task::Bench(arguments) => commands::bench::execute(&arguments),
        Task::Web(arguments) => commands::web::execute(&arguments),
        Task::CheckMac(arguments) => commands::check_mac::execute(&arguments),
        Task::MetalHost(arguments) => commands::metal_host::execute(&arguments),
        Task::MetalModel(arguments) => commands::metal_model::execute(&arguments),
        Task::Python(arguments) => commands::python::execute(&arguments),
        Task::Fuzz(arguments) => commands::fuzz::execute(&arguments),
        Task::Faults(arguments) => commands::faults::execute(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
