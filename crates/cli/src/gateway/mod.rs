//! The running gateway: how commands find it, start it, and talk to it.

mod api;
mod client;
mod discovery;
mod events;
mod launch;
mod lookup;
mod wait;

use std::time::Duration;

use clap::Args;

use crate::context::{self, Context};
use crate::failure::Failure;
use crate::remote::{self, Client};

pub use api::text;
pub use client::Gateway;
pub use discovery::GatewayFile;
pub use events::{Events, Received};
pub use launch::log_file;
pub use lookup::find;
pub use wait::{Starting, TOPICS, describe};

/// The gateway to use, in place of the one of this home directory.
const HOST_VARIABLE: &str = "MLXM_HOST";

/// A gateway on this machine responds within milliseconds.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Options that select a gateway.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Gateway")]
pub struct GatewayArguments {
    /// URL of the gateway [default: the one running on this machine] [env: MLXM_HOST]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,

    /// API key for the gateway at URL [env: MLXM_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    api_key: Option<String>,
}

impl GatewayArguments {
    /// The selected gateway, or the one running on this machine; `None` if none is running.
    pub fn find(&self) -> anyhow::Result<Option<Gateway>> {
        match self.given_url() {
            Some(url) => Ok(Some(Gateway::new(Client::new(&url, self.key())?))),
            None => running(),
        }
    }

    /// The URL that was given, as an option or in the environment.
    fn given_url(&self) -> Option<String> {
        let variable = || std::env::var(HOST_VARIABLE).ok();
        let url = self.url.clone().or_else(variable);
        url.filter(|url| !url.is_empty())
    }

    /// The URL of the selected gateway; `None` if it is the one of this home directory, whose URL can change.
    pub fn other_url(&self) -> anyhow::Result<Option<String>> {
        let Some(url) = self.given_url() else {
            return Ok(None);
        };
        let url = remote::base_url(&url)?;
        // A file that cannot be read does not concern a gateway that was named.
        let own = context::home().and_then(|home| GatewayFile::read(&home).ok().flatten());
        let own = own.and_then(|own| remote::base_url(&own.url).ok());
        Ok(Some(url).filter(|url| own.as_ref() != Some(url)))
    }

    /// The key that was given, as an option or in the environment.
    pub fn key(&self) -> Option<String> {
        self.api_key.clone().or_else(remote::key_from_environment)
    }

    /// The gateway; without one, an error that says how to start it.
    pub fn require(&self) -> anyhow::Result<Gateway> {
        let hint = "start it with `mlxm serve`, or start a model with `mlxm start MODEL`";
        self.find()?
            .ok_or_else(|| Failure::with_hint(NOT_RUNNING, hint).into())
    }

    /// The gateway, started in the background if none is running.
    pub fn find_or_start(&self, context: &Context) -> anyhow::Result<Gateway> {
        match self.find()? {
            Some(gateway) => Ok(gateway),
            None => launch::start(context),
        }
    }
}

/// The note of commands that also work without a gateway.
pub const NOT_RUNNING: &str = "no gateway is running";

/// The gateway of this home directory.
fn running() -> anyhow::Result<Option<Gateway>> {
    let Some(home) = context::home() else {
        return Ok(None);
    };
    let Some(file) = GatewayFile::read(&home)? else {
        return Ok(None);
    };
    let gateway = Gateway::new(Client::new(&file.url, Some(file.token))?);
    if let Err(error) = gateway.check_health(HEALTH_TIMEOUT) {
        let pid = file.process.pid;
        let message = format!(
            "the gateway (process {pid}) does not respond at {}: {error}",
            file.url
        );
        let log = log_file(&home);
        let hint = format!(
            "see its log {}, or end it with `kill {pid}` and start it again",
            log.display()
        );
        return Err(Failure::with_hint(message, hint).into());
    }
    Ok(Some(gateway))
}
