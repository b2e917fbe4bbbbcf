//! `mlxm serve --otlp-endpoint`: exported traces.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::gateway_process::{Client, Gateway, chat};
use crate::serve::{env, serve};
use crate::support::Outcome;

/// Longest wait for a batch of spans.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A fake OTLP collector that accepts every request.
struct Collector {
    address: String,
    requests: Receiver<(String, Vec<u8>)>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let sender = sender.clone();
                std::thread::spawn(move || {
                    while let Some(request) = read(&stream) {
                        (&stream)
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                            .unwrap();
                        // The receiver is dropped at the end of the test.
                        let _ = sender.send(request);
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// The service name and spans of the next batch.
    fn spans(&self) -> (String, Vec<Span>) {
        let (path, body) = self.requests.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(path, "/v1/traces");
        let batch = ExportTraceServiceRequest::decode(&*body).unwrap();
        let service = &batch.resource_spans[0];
        let attributes = &service.resource.as_ref().unwrap().attributes;
        let name = attributes
            .iter()
            .find(|attribute| attribute.key == "service.name");
        let Some(Attribute::StringValue(name)) = name.unwrap().value.clone().unwrap().value else {
            panic!("{attributes:?}");
        };
        let scopes = service.scope_spans.iter();
        let spans = scopes.flat_map(|scope| scope.spans.clone()).collect();
        (name, spans)
    }
}

/// Path and body of the next request on a connection.
fn read(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Attribute> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

/// Sends a request with these headers and returns the response.
fn post(url: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn request_spans_join_the_trace_of_the_client() {
    let collector = Collector::start();
    let env = env();
    let server = serve(&env, &["--otlp-endpoint", &collector.address]);
    let body = json!({"model": "tiny", "prompt": [1, 2, 3], "max_tokens": 5, "ignore_eos": true, "stream": true});
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let response = post(
        server.url(),
        "/v1/completions",
        &format!("traceparent: 00-{trace}-{parent}-01\r\n"),
        &body.to_string(),
    );
    assert!(response.contains("[DONE]"), "{response}");
    // Pending spans are exported at shutdown.
    server.signal(libc::SIGTERM);
    assert_eq!(server.end().code, Some(0));
    let (service, spans) = collector.spans();
    assert_eq!(service, "mlxm");
    let span = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
    };
    let (request, completion) = (span("POST /v1/completions"), span("completion"));
    let (trace, parent) = (
        u128::from_str_radix(trace, 16).unwrap(),
        u64::from_str_radix(parent, 16).unwrap(),
    );
    assert_eq!(request.trace_id, trace.to_be_bytes());
    assert_eq!(request.parent_span_id, parent.to_be_bytes());
    assert_eq!(
        request.kind(),
        opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server
    );
    assert_eq!(
        attribute(request, "http.response.status_code"),
        Some(&Attribute::IntValue(200))
    );
    assert_eq!(completion.parent_span_id, request.span_id);
    assert_eq!(
        attribute(completion, "gen_ai.usage.input_tokens"),
        Some(&Attribute::IntValue(3))
    );
    assert_eq!(
        attribute(completion, "gen_ai.usage.output_tokens"),
        Some(&Attribute::IntValue(5))
    );
    // The request span covers the stream after the response headers.
    assert!(request.end_time_unix_nano >= completion.end_time_unix_nano);
}

#[test]
fn spans_of_the_worker_are_children_of_those_of_the_gateway() {
    let collector = Collector::start();
    let env = env();
    let gateway = Gateway::start(&env, &["--otlp-endpoint", &collector.address]);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("traceparent: 00-{trace}-{parent}-01");
    let client = Client::new(gateway.address()).header(&traceparent);
    let (status, completion) = client.post("/v1/chat/completions", &chat("tiny", 2));
    assert_eq!(status, 200, "{completion}");
    // Pending spans of both processes are exported at shutdown.
    gateway.stop();
    let trace = u128::from_str_radix(trace, 16).unwrap().to_be_bytes();
    let mut spans: Vec<Span> = Vec::new();
    while spans.len() < 3 {
        let (_, batch) = collector.spans();
        spans.extend(batch.into_iter().filter(|span| span.trace_id == trace));
    }
    let child_of = |parent: &[u8]| {
        let mut children = spans.iter().filter(|span| span.parent_span_id == parent);
        let child = children.next();
        child.unwrap_or_else(|| panic!("no child of {parent:?} in {spans:#?}"))
    };
    let parent = u64::from_str_radix(parent, 16).unwrap().to_be_bytes();
    let of_gateway = child_of(&parent);
    let of_worker = child_of(&of_gateway.span_id);
    for request in [of_gateway, of_worker] {
        assert_eq!(request.name, "POST /v1/chat/completions");
    }
    assert_eq!(child_of(&of_worker.span_id).name, "completion");
}

#[test]
fn invalid_collector_urls_are_rejected_and_unreachable_ones_ignored() {
    let env = env();
    let rejected = env.run(&[
        "serve",
        "--model",
        "tiny",
        "--otlp-endpoint",
        "localhost:4318",
    ]);
    assert_eq!(rejected.code, Some(1), "{rejected:#?}");
    assert!(
        rejected
            .stderr
            .contains("cannot send traces to localhost:4318"),
        "{rejected:#?}"
    );
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let server = serve(&env, &["--otlp-endpoint", &address]);
    let response = post(server.url(), "/tokenize", "", r#"{"content": "Hi"}"#);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    server.signal(libc::SIGTERM);
    let outcome: Outcome = server.end();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}
