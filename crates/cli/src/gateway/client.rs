//! Typed requests to the gateway's API.

use std::io::Write;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::remote::{Client, RemoteError};

/// A client for the API of one gateway.
#[derive(Debug)]
pub struct Gateway {
    client: Client,
}

impl Gateway {
    /// A client for a gateway. Does not connect yet.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client for the inference routes.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The URL of the gateway for messages.
    pub fn url(&self) -> String {
        self.client.url()
    }

    /// An error unless it responds within this time. A degraded gateway responds, too.
    pub fn check_health(&self, timeout: Duration) -> Result<(), RemoteError> {
        match self.client.send(Method::GET, "health", None, Some(timeout)) {
            Err(RemoteError::Status { status: 503, .. }) => Ok(()),
            Err(RemoteError::Problem(problem)) if problem.status == 503 => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Fetches a resource.
    pub fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, RemoteError> {
        self.parse(self.client.get(route)?)
    }

    /// Sends a body and returns the response.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        let body = serde_json::to_value(body).map_err(|error| self.malformed(&error))?;
        self.parse(self.client.send(method, route, Some(&body), None)?)
    }

    /// Sends a request without a body, and ignores the response.
    pub fn act(&self, method: Method, route: &str) -> Result<(), RemoteError> {
        self.client.send(method, route, None, None).map(|_| ())
    }

    /// Writes a response to `target` as it arrives.
    pub fn copy(&self, route: &str, target: &mut dyn Write) -> anyhow::Result<()> {
        self.client.copy(route, target)
    }

    fn parse<T: DeserializeOwned>(&self, value: Value) -> Result<T, RemoteError> {
        serde_json::from_value(value).map_err(|error| self.malformed(&error))
    }

    fn malformed(&self, error: &serde_json::Error) -> RemoteError {
        RemoteError::UnexpectedResponse {
            url: self.url(),
            reason: error.to_string(),
        }
    }
}

/// The route with these path segments and parameters, percent-encoded: names of models contain slashes.
pub fn route(segments: &[&str], parameters: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return segments.join("/");
    };
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(segments);
    }
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    let path = url.path().trim_start_matches('/');
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::route;

    #[test]
    fn route_encodes_names() {
        assert_eq!(route(&["api", "servers"], &[]), "api/servers");
        assert_eq!(
            route(
                &["api", "models", "org/Tiny 4bit"],
                &[("q", "a&b"), ("n", "1")]
            ),
            "api/models/org%2FTiny%204bit?q=a%26b&n=1"
        );
    }
}
