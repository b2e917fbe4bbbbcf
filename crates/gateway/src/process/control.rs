//! Requests of the gateway itself to a worker. Requests of clients take another path.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::health::EngineSample;

/// Largest response that is read.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A worker on the loopback interface.
#[derive(Debug, Clone)]
pub struct Control {
    address: SocketAddr,
    key: String,
}

impl Control {
    /// The worker on this port.
    pub fn new(port: u16, key: String) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            key,
        }
    }

    /// Whether the worker is healthy, and its counters.
    ///
    /// # Errors
    /// If it does not respond in time, or reports that it is not ready.
    pub async fn check(&self, timeout: Duration) -> Result<EngineSample, BoxError> {
        let request = self.send(Method::GET, "/health", Bytes::new());
        let body = tokio::time::timeout(timeout, request).await??;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Makes the process `owner` the worker's owner.
    ///
    /// # Errors
    /// If it does not respond in time, or rejects the key.
    pub async fn claim(&self, owner: u32, timeout: Duration) -> Result<(), BoxError> {
        let body = json!({"pid": owner}).to_string().into();
        let request = self.send(Method::POST, "/internal/owner", body);
        tokio::time::timeout(timeout, request).await??;
        Ok(())
    }

    /// Changes the number of compute threads of the worker.
    ///
    /// # Errors
    /// If it does not respond in time, or rejects the number.
    pub async fn set_threads(&self, threads: usize, timeout: Duration) -> Result<(), BoxError> {
        let body = json!({"threads": threads}).to_string().into();
        let request = self.send(Method::POST, "/internal/threads", body);
        tokio::time::timeout(timeout, request).await??;
        Ok(())
    }

    /// Sends a request on a connection of its own; returns the body of a successful response.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, BoxError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))?;
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped, also on a timeout.
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES);
        let body = body.collect().await?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("{path}: status {status}").into())
        }
    }
}
