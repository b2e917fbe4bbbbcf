//! The `mlxm` binary: finds, downloads, converts and runs MLX-format language models.

mod arguments;
mod browser;
mod chat;
mod commands;
mod complete;
mod context;
mod database;
mod failure;
mod gateway;
mod generate;
mod interrupt;
mod json_sink;
mod locate;
mod logging;
mod memory_report;
mod output;
mod progress;
mod prompt;
mod prompt_input;
mod remote;
mod sampling;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use crate::arguments::Arguments;
use crate::context::Context;

fn main() -> ExitCode {
    // Ends the process if a shell asks for candidates.
    CompleteEnv::with_factory(Arguments::command)
        .var(commands::COMPLETION_VARIABLE)
        .complete();
    let arguments = Arguments::parse();
    let output = arguments.global.output();
    let result = interrupt::install().and_then(|()| {
        arguments
            .command
            .execute(&Context::new(arguments.global, output.clone()))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, message) = failure::describe(&error);
            match message {
                Some(message) if code == failure::EXIT_INTERRUPTED => output.note(&message),
                Some(message) => output.error(&message),
                None => {}
            }
            ExitCode::from(code as u8)
        }
    }
}
