//! Client for OpenAI-compatible servers and for the gateway.

mod backend;
mod chunk;
mod client;
mod error;
mod models;
mod problem;

use clap::Args;

pub use backend::{Endpoint, Remote};
pub use chunk::Chunk;
pub use client::{Client, Stream, StreamItem, StreamPoll, base_url};
pub use error::RemoteError;
pub use models::ServedModels;

/// Environment variable for the API key; unlike an argument, it is not visible in process listings.
const KEY_VARIABLE: &str = "MLXM_API_KEY";

/// Options that select a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct RemoteArguments {
    /// Base URL of an OpenAI-compatible server to use instead of a local model, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// API key for the server [env: MLXM_API_KEY]
    #[arg(long, value_name = "KEY", requires = "url")]
    api_key: Option<String>,
}

impl RemoteArguments {
    /// A client for the server, if `--url` was given.
    pub fn client(&self) -> Result<Option<Client>, RemoteError> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let key = self.api_key.clone().or_else(key_from_environment);
        Client::new(url, key.filter(|key| !key.is_empty())).map(Some)
    }
}

/// The API key of the environment.
pub fn key_from_environment() -> Option<String> {
    std::env::var(KEY_VARIABLE)
        .ok()
        .filter(|key| !key.is_empty())
}
