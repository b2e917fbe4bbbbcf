//! Concurrent requests.

use futures_util::future::join_all;
use mlxm_engine::LoadOptions;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::stepper::Stepper;
use crate::support::{chat, load_options, server_options, start, start_with};

const ROUTE: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

fn bodies() -> Vec<Value> {
    let prompts = [
        "Hi",
        "Tell me a story about the sea",
        "x",
        "List the colours of the rainbow, one by one",
    ];
    let body = |seed: usize| {
        let temperature = [0.0, 0.7, 1.3][seed % 3];
        json!({"model": "tiny", "prompt": prompts[seed % 4], "seed": seed, "temperature": temperature,
            "max_tokens": 8 + 5 * seed})
    };
    (0..12).map(body).collect()
}

fn text(body: &Value) -> String {
    body["choices"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn completions_are_batch_invariant() {
    for model in ["llama-4bit", "gemma3-window-8"] {
        let server = start_with(model, &load_options(), server_options()).await;
        let mut alone = Vec::new();
        for body in bodies() {
            alone.push(text(&server.ok(COMPLETIONS, &body).await));
        }
        let bodies = bodies();
        let batched = join_all(bodies.iter().map(|body| server.ok(COMPLETIONS, body))).await;
        let batched: Vec<String> = batched.iter().map(text).collect();
        assert_eq!(batched, alone, "{model}");
    }
}

#[tokio::test]
async fn client_that_does_not_read_does_not_block_others() {
    let server = start().await;
    let address = server.url.trim_start_matches("http://");
    let body = chat(
        "Hi",
        json!({"n": 3, "max_tokens": 200, "ignore_eos": true, "stream": true}),
    )
    .to_string();
    let mut idle_client = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {ROUTE} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    idle_client
        .write_all((head + &body).as_bytes())
        .await
        .unwrap();
    for _ in 0..3 {
        server
            .ok(ROUTE, &chat("Hi", json!({"max_tokens": 20})))
            .await;
    }
    drop(idle_client);
}

#[tokio::test]
async fn server_handles_a_thousand_concurrent_requests() {
    let load = LoadOptions {
        max_queued_requests: 2000,
        ..load_options()
    };
    let server = start_with("llama-4bit", &load, server_options()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 1}));
    let requests = (0..1000).map(|_| tokio::spawn(server.request(ROUTE, &body).send()));
    let requests: Vec<_> = requests.collect();
    // All requests are in the engine before the first one finishes.
    server.wait_for_requests(1001).await;
    drop(stepper);
    for response in join_all(requests).await {
        assert_eq!(response.unwrap().unwrap().status().as_u16(), 200);
    }
}
