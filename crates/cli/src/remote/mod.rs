//! Answers from a running server that speaks OpenAI's protocol.

mod chunk;
mod client;
mod error;
mod events;
mod models;
mod responder;

use clap::Args;

pub use chunk::Chunk;
pub use client::{Arrival, Client, Next, Stream};
pub use error::RemoteError;
pub use models::Served;
pub use responder::{Endpoint, Remote};

/// Names the variable with the key, which other programs' listings of processes do not show.
const KEY_VARIABLE: &str = "MLXM_API_KEY";

/// Which server is asked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct RemoteArguments {
    /// Ask a running OpenAI-compatible server, such as http://127.0.0.1:8080, instead of loading a model
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Key for the server [env: MLXM_API_KEY]
    #[arg(long, value_name = "KEY", requires = "url")]
    api_key: Option<String>,
}

impl RemoteArguments {
    /// The server, if one was named.
    pub fn client(&self) -> Result<Option<Client>, RemoteError> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let variable = || std::env::var(KEY_VARIABLE).ok();
        let key = self.api_key.clone().or_else(variable);
        Client::new(url, key.filter(|key| !key.is_empty())).map(Some)
    }
}
