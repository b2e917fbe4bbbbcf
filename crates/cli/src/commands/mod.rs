//! The commands, one file each: arguments, help text and implementation.

mod bench;
mod completion;
mod convert;
mod doctor;
mod list;
mod perplexity;
mod pull;
mod rm;
mod run;
mod search;
mod serve;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::logging;

pub use pull::pull_repository;

/// A command and its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<run::Run>),
    Serve(Box<serve::Serve>),
    Pull(pull::Pull),
    List(list::List),
    Show(show::Show),
    Rm(rm::Rm),
    Search(search::Search),
    Convert(convert::Convert),
    Perplexity(perplexity::Perplexity),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
    Completion(completion::Completion),
}

impl Command {
    /// Runs the command.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let loads_one_model = matches!(
            self,
            Self::Run(_) | Self::Show(_) | Self::Convert(_) | Self::Perplexity(_) | Self::Bench(_)
        );
        if loads_one_model {
            logging::install_warnings();
        }
        match self {
            Self::Run(run) => run.execute(context),
            Self::Serve(serve) => serve.execute(context),
            Self::Pull(pull) => pull.execute(context),
            Self::List(list) => list.execute(context),
            Self::Show(show) => show.execute(context),
            Self::Rm(rm) => rm.execute(context),
            Self::Search(search) => search.execute(context),
            Self::Convert(convert) => convert.execute(context),
            Self::Perplexity(perplexity) => perplexity.execute(context),
            Self::Bench(bench) => bench.execute(context),
            Self::Doctor(doctor) => doctor.execute(context),
            Self::Completion(completion) => completion.execute(context),
        }
    }
}
