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
const MAX_RESPONSE_BYTES: usize = 4 << 20;

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
        let requests = async {
            self.send(Method::GET, "/health", Bytes::new()).await?;
            let metrics = self.send(Method::GET, "/metrics", Bytes::new()).await?;
            Ok(engine_sample(&String::from_utf8_lossy(&metrics)))
        };
        tokio::time::timeout(timeout, requests).await?
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

/// Reads the counters from the text format of Prometheus; those that are missing are 0.
fn engine_sample(metrics: &str) -> EngineSample {
    let mut sample = EngineSample::default();
    for line in metrics.lines() {
        let Some((name, value)) = line.split_once(' ') else {
            continue;
        };
        let value: f64 = value.trim().parse().unwrap_or_default();
        match name {
            "mlxm_steps_total" => sample.steps = value as u64,
            "mlxm_step_seconds_total" => {
                sample.step_time = Duration::try_from_secs_f64(value).unwrap_or_default();
            }
            "mlxm_num_requests_running" => sample.requests_running = value as u64,
            _ => {}
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_metrics() {
        let metrics = "# HELP mlxm_steps Engine steps.\n# TYPE mlxm_steps counter\nmlxm_steps_total 42\n\
            mlxm_step_seconds_total 1.5\nmlxm_num_requests_running 3\nother{a=\"b c\"} 7\n# EOF\n";
        let expected = EngineSample {
            steps: 42,
            step_time: Duration::from_millis(1500),
            requests_running: 3,
        };
        assert_eq!(engine_sample(metrics), expected);
        assert_eq!(engine_sample("nonsense"), EngineSample::default());
    }
}
