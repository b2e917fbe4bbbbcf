//! Commands with a fake gateway, for states that a real one has only for moments.

use serde_json::{Value, json};

use crate::support::server::{FakeServer, Received, Reply, event};
use crate::support::{Outcome, TestEnv};

fn run(gateway: &FakeServer, arguments: &[&str]) -> Outcome {
    let url = gateway.url();
    TestEnv::new().run(&[arguments, &["--url", &url]].concat())
}

fn problem(status: u16, code: &str, detail: &str, more: &Value) -> Reply {
    let mut body = json!({
        "type": format!("urn:mlxm:error:{code}"), "title": "Title", "status": status, "code": code, "detail": detail,
        "request_id": "req-1",
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Reply::json(status, &body)
}

const ID: &str = "0199aaaa-0000-7000-8000-000000000000";

fn server(state: &str, detail: &Value) -> Value {
    json!({
        "id": ID, "name": "tiny", "path": "/models/tiny", "profiles": [], "state": state, "detail": detail, "pid": 7,
        "port": null, "version": null, "capabilities": null, "ttl_seconds": 1800, "pinned": false, "running": 0,
        "size": {"context_length": 4096, "kv_pool_tokens": 4096, "plan_bytes": 2_000_000_000_u64},
        "settings": {}, "started_at_ms": 0, "restarts": 0, "metrics": null,
    })
}

fn plan(outcome: &str, holders: &Value) -> Value {
    json!({
        "model": "tiny", "outcome": outcome, "size": null, "holders": holders, "budget_bytes": 8_000_000_000_u64,
        "used_bytes": 6_000_000_000_u64, "code": null, "message": "it waits for `big`", "largest_context": null,
    })
}

/// A gateway that starts a model and then sends these events.
fn starting(events: &[Value]) -> FakeServer {
    let events: Vec<String> = events.iter().map(event).collect();
    FakeServer::with_handler(move |request: &Received| {
        match (request.method.as_str(), request.path.as_str()) {
            (_, "/api/profiles") => Reply::json(200, &json!({"profiles": []})),
            ("POST", "/api/servers") => Reply::json(
                202,
                &json!({"plan": plan("waits", &json!([])), "server": server("starting", &Value::Null)}),
            ),
            (_, "/api/servers") => {
                Reply::json(200, &json!({"servers": [server("starting", &Value::Null)]}))
            }
            (_, path) if path.starts_with("/api/events") => Reply::stream(&events),
            _ => Reply::text(404, ""),
        }
    })
}

fn changed(state: &str, detail: &Value) -> Value {
    json!({"topic": "servers", "event": {"type": "changed", "server": server(state, detail)}})
}

#[test]
fn start_waits_for_the_events_of_its_server() {
    let mut other = changed("ready", &Value::Null);
    other["event"]["server"]["id"] = "0199bbbb-0000-7000-8000-000000000000".into();
    let gateway = starting(&[
        other,
        json!({"topic": "servers", "event": {"type": "loading", "id": ID, "loaded_bytes": 1, "total_bytes": 2}}),
        changed("ready", &Value::Null),
    ]);
    let outcome = run(&gateway, &["start", "tiny", "--pin", "--json"]);
    assert_eq!(outcome.json()["id"], ID);
    assert!(
        outcome.stderr.contains("it waits for `big`"),
        "{outcome:#?}"
    );
    assert_eq!(
        gateway.body(),
        json!({"model": "tiny", "pin": true, "dry_run": false})
    );
}

#[test]
fn failed_start_shows_the_cause_and_the_last_lines() {
    let gateway = starting(&[
        json!({"topic": "servers", "event": {
            "type": "exited", "id": ID, "cause": "crashed", "message": "it was ended by signal 11",
            "log_tail": ["last words"],
        }}),
        changed("failed", &json!("it exited 5 times")),
    ]);
    let outcome = run(&gateway, &["start", "tiny"]);
    outcome.failure(&[
        "it was ended by signal 11",
        "last words",
        "tiny was not loaded: it exited 5 times",
        "mlxm logs tiny",
    ]);
}

#[test]
fn start_that_fails_before_there_is_a_process_is_an_error() {
    let notice = |message: &str| json!({"topic": "notices", "event": {"level": "error", "code": "start_failed", "message": message}});
    let gateway = starting(&[
        notice("tiny-2 was not started: another one"),
        notice("tiny was not started: no memory became free in time"),
    ]);
    let outcome = run(&gateway, &["start", "tiny"]);
    outcome.failure(&["no memory became free in time", "mlxm start tiny --dry-run"]);
    assert!(!outcome.stderr.contains("another one"), "{outcome:#?}");
}

#[test]
fn gateway_that_ends_during_a_start_is_an_error() {
    run(&starting(&[]), &["start", "tiny"]).failure(&["the gateway ended before tiny was loaded"]);
}

#[test]
fn problems_show_fields_and_advice() {
    let gateway = FakeServer::with_handler(|request| {
        if request.path == "/api/profiles" && request.method == "POST" {
            let errors = json!({
                "errors": [{"field": "port", "code": "port_in_use", "message": "is used by `other`"}],
                "advice": "choose another port",
            });
            problem(
                409,
                "profile_port_in_use",
                "the profile is not valid",
                &errors,
            )
        } else {
            problem(
                403,
                "forbidden",
                "the key may not manage the gateway",
                &json!({}),
            )
        }
    });
    run(&gateway, &["profile", "new", "a", "--model", "m"]).failure(&[
        "the profile is not valid",
        "port: is used by `other`",
        "choose another port",
    ]);
    run(&gateway, &["ps"]).failure(&["the key may not manage the gateway", "--api-key"]);
}

#[test]
fn key_is_sent_and_bodies_are_json() {
    let gateway = FakeServer::with_handler(|_| Reply::json(200, &json!({"servers": []})));
    let url = gateway.url();
    let env = TestEnv::new();
    let mut command = env.command(&["stop", "--all", "--json"]);
    let outcome = Outcome::of(command.env("MLXM_HOST", &url).env("MLXM_API_KEY", "secret"));
    assert_eq!(outcome.json(), json!([]));
    let busy = FakeServer::with_handler(|request| match request.method.as_str() {
        "GET" => Reply::json(200, &json!({"servers": [server("ready", &Value::Null)]})),
        _ => problem(
            409,
            "server_busy",
            "tiny has 2 running requests",
            &json!({"advice": "add ?now=true"}),
        ),
    });
    run(&busy, &["stop", "tiny", "--api-key", "secret"]).failure(&[
        "tiny was not stopped: tiny has 2 running requests",
        "use --now",
    ]);
    let request = &busy.received()[0];
    assert_eq!(request.path, format!("/api/servers/{ID}?now=false"));
    assert_eq!(request.authorization.as_deref(), Some("Bearer secret"));
    assert_eq!(request.body, json!({}));
}

#[test]
fn response_of_another_version_is_named() {
    let gateway = FakeServer::with_handler(|_| Reply::json(200, &json!({"workers": []})));
    run(&gateway, &["ps"]).failure(&["use the same version for both"]);
}
