//! Routes and headers that only the owner of a server may use.

use mlxm_api::{AccessPolicy, ServerOptions};
use mlxm_engine::LoadOptions;
use serde_json::{Value, json};

use crate::stepper::Stepper;
use crate::support::{
    KEY, TestServer, chat, load_options, owned_options, server_options, start_owned, start_with,
};

/// Status and body of the response to a POST request of the owner.
async fn post(server: &TestServer, route: &str, body: &Value) -> (u16, Value) {
    let request = server.request(route, body).bearer_auth(KEY);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn internal_routes_exist_only_with_an_owner_and_a_key() {
    let routes = ["owner", "defaults", "threads"].map(|route| format!("/internal/{route}"));
    for options in [
        server_options(),
        ServerOptions {
            owner: None,
            ..owned_options()
        },
        ServerOptions {
            access: AccessPolicy::default(),
            ..owned_options()
        },
    ] {
        let server = start_with("llama-4bit", &load_options(), options).await;
        for route in &routes {
            let (status, body) = post(&server, route, &json!({})).await;
            assert_eq!(status, 404, "{route}: {body}");
        }
    }
    let server = start_owned().await;
    for route in &routes {
        assert_eq!(server.post(route, &json!({})).await.0, 401, "{route}");
    }
}

#[tokio::test]
async fn owner_can_be_replaced_by_a_running_process_only() {
    let server = start_owned().await;
    let pid = std::os::unix::process::parent_id();
    let (status, body) = post(&server, "/internal/owner", &json!({"pid": pid})).await;
    assert_eq!((status, &body["pid"]), (200, &json!(pid)));
    // Above the largest id of Linux and macOS.
    let absent = json!({"pid": 5_000_000});
    let (status, body) = post(&server, "/internal/owner", &absent).await;
    assert_eq!(
        (status, &body["error"]["param"]),
        (400, &json!("pid")),
        "{body}"
    );
    let (status, body) = post(&server, "/internal/owner", &json!({})).await;
    assert_eq!(status, 400, "{body}");
}

#[tokio::test]
async fn threads_change_between_steps_and_health_shows_them() {
    let server = start_owned().await;
    let health =
        async || -> Value { serde_json::from_str(&server.get("/health").await.1).unwrap() };
    let before = health().await;
    assert_eq!(before["threads"], 1);
    assert_eq!(before["steps"], 0);
    assert_eq!(before["longest_step_ms"], 0);
    let (status, body) = post(&server, "/internal/threads", &json!({"threads": 2})).await;
    assert_eq!((status, &body["threads"]), (200, &json!(2)));
    let request = chat("Hi", json!({"max_tokens": 4, "ignore_eos": true}));
    let (status, body) = post(&server, "/v1/chat/completions", &request).await;
    assert_eq!(status, 200, "{body}");
    let after = health().await;
    assert_eq!(after["threads"], 2);
    assert!(after["steps"].as_u64().unwrap() >= 4, "{after}");
    for threads in [0, 5000] {
        let body = json!({"threads": threads});
        let (status, body) = post(&server, "/internal/threads", &body).await;
        assert_eq!(
            (status, &body["error"]["param"]),
            (400, &json!("threads")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn health_counts_running_and_queued_requests_during_a_step() {
    let load = LoadOptions {
        max_sequences: 1,
        ..load_options()
    };
    let server = start_with("llama-4bit", &load, owned_options()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 1}));
    let waiting = server.request("/v1/chat/completions", &body);
    let waiting = tokio::spawn(waiting.bearer_auth(KEY).send());
    server.wait_for_requests(2).await;
    stepper.step(2);
    let (status, health) = server.get("/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        (&health["running"], &health["queued"]),
        (&json!(1), &json!(1))
    );
    drop(stepper);
    assert_eq!(waiting.await.unwrap().unwrap().status().as_u16(), 200);
}

/// Queue time of a request of this class.
async fn queue_ms(server: &TestServer, class: &str, more: Value) -> f64 {
    let body = chat("Hi", more);
    let request = server.request("/v1/chat/completions", &body);
    let request = request.bearer_auth(KEY).header("x-mlxm-priority", class);
    let response = request.send().await.unwrap();
    let usage = response.headers()["x-mlxm-usage"].to_str().unwrap();
    let usage: Value = serde_json::from_str(usage).unwrap();
    usage["queue_ms"].as_f64().unwrap()
}

#[tokio::test]
async fn interactive_requests_start_before_earlier_batch_requests() {
    let load = LoadOptions {
        max_sequences: 1,
        ..load_options()
    };
    let more = json!({"max_tokens": 8, "ignore_eos": true});
    // A request may lower the priority that the owner gives it, but not raise it.
    let mut flex = more.clone();
    flex["service_tier"] = "flex".into();
    let mut raised = more.clone();
    raised["service_tier"] = "priority".into();
    for (class, first) in [("batch", &more), ("interactive", &flex), ("batch", &raised)] {
        let server = start_with("llama-4bit", &load, owned_options()).await;
        let stepper = Stepper::hold(&server.engine);
        let first = queue_ms(&server, class, first.clone());
        let second = async {
            server.wait_for_requests(2).await;
            let second = queue_ms(&server, "interactive", more.clone());
            let resume = async {
                server.wait_for_requests(3).await;
                drop(stepper);
            };
            tokio::join!(second, resume).0
        };
        let (first, second) = tokio::join!(first, second);
        assert!(second < first, "{class}: {second} ms, {first} ms");
    }
}

#[tokio::test]
async fn unknown_class_is_rejected_in_the_format_of_the_protocol() {
    let server = start_owned().await;
    let body = chat("Hi", json!({"max_tokens": 1}));
    let request = server.request("/v1/messages", &body).bearer_auth(KEY);
    let response = request.header("x-mlxm-priority", "urgent").send();
    let response = response.await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], "error");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("interactive, normal or batch"), "{body}");
}
