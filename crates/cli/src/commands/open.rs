//! `mlxm open`: show the gateway in the browser.

use clap::Args;
use serde::Serialize;

use crate::browser::{self, OPENER};
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::GatewayArguments;
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
Examples:
  mlxm open
  mlxm open --print";

/// Open the gateway's address in the browser
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Open {
    /// Print the address, and do not open it
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Serialize)]
struct Address {
    url: String,
}

impl Report for Address {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(&self.url)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.url.clone()]
    }
}

impl Open {
    /// Opens or prints the address.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let url = self.gateway.require()?.url();
        if !self.print && !browser::open(&url) {
            let message = format!("`{OPENER}` cannot open a browser");
            return Err(Failure::with_hint(message, format!("open {url} yourself")).into());
        }
        context.output.report(&Address { url })?;
        Ok(())
    }
}
