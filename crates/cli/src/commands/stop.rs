//! `mlxm stop`: unload models.

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_api::wire::servers::Server;
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::failure::{self, Failure};
use crate::gateway::{self, GatewayArguments, NOT_RUNNING};
use crate::output::{Report, Section};
use crate::remote::RemoteError;

/// The code of the gateway's error for a server with running requests.
const SERVER_BUSY: &str = "server_busy";

const EXAMPLES: &str = "\
Examples:
  mlxm stop SmolLM2
  mlxm stop --all
  mlxm stop SmolLM2 --now       also if it has running requests";

/// Unload models
#[derive(Debug, Args)]
#[command(visible_alias = "unload", after_help = EXAMPLES)]
pub struct Stop {
    /// Running model: its name, a unique part of it, or its ID
    #[arg(required_unless_present = "all", add = complete::servers())]
    name: Option<String>,

    /// Unload all models
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// Also stop models with running requests, which have 30 seconds to complete
    #[arg(long)]
    now: bool,

    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Servers that were stopped.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Stopped(Vec<Server>);

impl Report for Stopped {
    fn sections(&self) -> Vec<Section> {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .map(|server| match server.failure {
                None => format!(
                    "{}: stopping, frees {}",
                    server.name,
                    DecimalBytes(server.size.plan_bytes)
                ),
                Some(_) => format!("{}: removed from the list", server.name),
            })
            .collect();
        if lines.is_empty() {
            lines.push("no models are loaded: nothing to stop".to_owned());
        }
        vec![Section::sentence(lines.join("\n"))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0.iter().map(|server| server.name.clone()).collect()
    }
}

/// The error of a model that was not stopped. What to do about a busy one is an option of the command.
pub fn busy(error: RemoteError, name: &str) -> anyhow::Error {
    match error {
        RemoteError::Problem(problem) if problem.code == SERVER_BUSY => Failure::with_hint(
            format!("{name} was not stopped: {}", problem.detail),
            "wait until they are complete, or use --now: they then have 30 seconds",
        )
        .into(),
        error => anyhow::Error::new(error).context(format!("{name} was not stopped")),
    }
}

impl Stop {
    /// Stops the models. One that cannot be stopped does not keep others from it.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Some(gateway) = self.gateway.find()? else {
            context.output.note(NOT_RUNNING);
            context.output.report(&Stopped(Vec::new()))?;
            return Ok(());
        };
        let servers = gateway.servers()?;
        let chosen = match &self.name {
            Some(name) => vec![gateway::find(&servers, name)?.clone()],
            None => servers,
        };
        let mut stopped = Vec::new();
        let mut failed = false;
        for server in chosen {
            match gateway.stop(&server, self.now) {
                Ok(()) => stopped.push(server),
                Err(error) => {
                    failed = true;
                    let error = busy(error, &server.name);
                    context
                        .output
                        .error(&failure::describe(&error).1.unwrap_or_default());
                }
            }
        }
        if !failed || !stopped.is_empty() {
            context.output.report(&Stopped(stopped))?;
        }
        if failed {
            Err(Failure::Reported.into())
        } else {
            Ok(())
        }
    }
}
