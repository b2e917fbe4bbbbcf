//! `mlxm restart`: stop a running model and load it again.

use clap::Args;

use super::start::Started;
use super::stop::busy;
use crate::complete;
use crate::context::Context;
use crate::gateway::{self, GatewayArguments, Starting};

const EXAMPLES: &str = "\
Examples:
  mlxm restart SmolLM2
  mlxm restart SmolLM2 --now        also if it has running requests";

/// Stop a running model and load it again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restart {
    /// Running model: its name, a unique part of it, or its ID
    #[arg(add = complete::servers())]
    name: String,

    /// Do not wait for running requests: they have 30 seconds to complete
    #[arg(long)]
    now: bool,

    #[command(flatten)]
    gateway: GatewayArguments,
}

impl Restart {
    /// Restarts the model and waits until it accepts requests.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let gateway = self.gateway.require()?;
        let servers = gateway.servers()?;
        let server = gateway::find(&servers, &self.name)?;
        let events = gateway.subscribe(gateway::TOPICS)?;
        gateway
            .restart(server, self.now)
            .map_err(|error| busy(error, &server.name))?;
        let starting = Starting {
            gateway: &gateway,
            events,
            // It gets another id.
            server: None,
            model: &server.name,
            earlier: servers.iter().map(|server| server.id).collect(),
        };
        let server = starting.wait(context)?;
        context.output.report(&Started(server))?;
        Ok(())
    }
}
