//! The commands, one file each: arguments, help text and implementation.

mod audit;
mod backup;
mod bench;
mod completion;
mod config;
mod convert;
mod doctor;
mod downloads;
mod launch;
mod list;
mod logs;
mod open;
mod perplexity;
mod profile;
mod ps;
mod pull;
mod restart;
mod restore;
mod rm;
mod run;
mod search;
mod secrets;
mod serve;
mod show;
mod start;
mod status;
mod stop;

use clap::Subcommand;

use crate::context::Context;
use crate::logging;

pub use completion::VARIABLE as COMPLETION_VARIABLE;
pub use pull::pull_repository;

/// A command and its arguments, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<run::Run>),
    Serve(Box<serve::Serve>),
    Pull(pull::Pull),
    List(list::List),
    Show(show::Show),
    Rm(rm::Rm),
    Search(search::Search),
    Ps(ps::Ps),
    Status(status::Status),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Downloads(downloads::Downloads),
    Profile(profile::Profile),
    Logs(logs::Logs),
    Audit(audit::Audit),
    Config(config::Config),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Secrets(secrets::Secrets),
    Launch(launch::Launch),
    Open(open::Open),
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
            Self::Ps(ps) => ps.execute(context),
            Self::Status(status) => status.execute(context),
            Self::Start(start) => start.execute(context),
            Self::Stop(stop) => stop.execute(context),
            Self::Restart(restart) => restart.execute(context),
            Self::Downloads(downloads) => downloads.execute(context),
            Self::Profile(profile) => profile.execute(context),
            Self::Logs(logs) => logs.execute(context),
            Self::Audit(audit) => audit.execute(context),
            Self::Config(config) => config.execute(context),
            Self::Backup(backup) => backup.execute(context),
            Self::Restore(restore) => restore.execute(context),
            Self::Secrets(secrets) => secrets.execute(context),
            Self::Launch(launch) => launch.execute(context),
            Self::Open(open) => open.execute(context),
            Self::Convert(convert) => convert.execute(context),
            Self::Perplexity(perplexity) => perplexity.execute(context),
            Self::Bench(bench) => bench.execute(context),
            Self::Doctor(doctor) => doctor.execute(context),
            Self::Completion(completion) => completion.execute(context),
        }
    }
}
