//! `mlxm serve` without a model: models on request, eviction, usage, profiles, shutdown.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use mlxm_store::profiles::{self, LoadSettings, ProfileConfig, RequestSettings};
use serde_json::{Value, json};

use crate::gateway_process::{
    Client, EventStream, Gateway, audit_rows, chat, home, is_running, wait_until, with_store,
};
use crate::support::{Checkpoint, TestEnv};

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    env
}

/// With a model whose streams do not end during a test.
fn endless_env() -> TestEnv {
    crate::serve::env()
}

/// The memory that a model takes at least, with the defaults of the gateway.
fn smallest_plan(env: &TestEnv, model: &str) -> u64 {
    let json = env
        .run(&["show", model, "--json", "--max-sequences", "16"])
        .json();
    let sizes = json["memory"]["cache_sizes"].as_array().unwrap();
    let bytes = sizes
        .iter()
        .map(|size| size["total_bytes"].as_u64().unwrap());
    bytes.min().unwrap()
}

fn loaded(gateway: &Gateway, model: &str) -> Value {
    gateway.get(&format!("/v1/models/{model}")).1["loaded"].clone()
}

#[test]
fn request_starts_the_model_that_it_names() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.ready["models"], 1);
    assert_eq!(gateway.ready["pid"], gateway.pid());
    let (status, health) = gateway.get("/health");
    assert_eq!((status, &health["status"]), (200, &json!("ready")));
    assert_eq!(health["models"], 0);
    assert_eq!(loaded(&gateway, "tiny"), false);

    let (status, completion) = gateway.chat("tiny");
    assert_eq!(status, 200, "{completion}");
    assert_eq!(completion["choices"][0]["message"]["content"], "abc");
    wait_until("the model is shown as loaded", || {
        loaded(&gateway, "tiny") == true
    });
    let (_, health) = gateway.get("/health");
    assert_eq!(health["models"], 1);

    let file = home(&env).join("gateway.json");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let discovery: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(discovery["url"], gateway.url());
    let worker = gateway.worker();
    gateway.stop();
    assert!(!file.exists());
    assert!(!is_running(worker));
}

#[test]
fn later_model_is_served_without_a_restart() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env, &[]);
    let (status, error) = gateway.chat("tiny");
    assert_eq!(status, 404);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("mlxm pull"), "{message}");
    env.local_model("tiny", &Checkpoint::endless());
    wait_until("the model is listed", || {
        gateway.get("/v1/models/tiny").0 == 200
    });
    assert_eq!(gateway.chat("tiny").0, 200);
}

#[test]
fn unknown_model_gets_the_closest_names() {
    let env = env();
    env.local_model("org/SmolLM2-135M", &Checkpoint::endless());
    let gateway = Gateway::start(&env, &[]);
    let (status, error) = gateway.chat("org/SmolLM-135M");
    assert_eq!(status, 404);
    assert_eq!(error["error"]["code"], "model_not_found");
    let message = error["error"]["message"].as_str().unwrap();
    for part in ["org/SmolLM2-135M", "mlxm pull org/SmolLM-135M"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(gateway.servers().is_empty());
}

#[test]
fn second_model_evicts_the_idle_first_one() {
    let env = env();
    env.local_model("other", &Checkpoint::endless());
    let budget = smallest_plan(&env, "tiny").max(smallest_plan(&env, "other"));
    let gateway = Gateway::start(&env, &["--memory", &budget.to_string()]);
    assert_eq!(gateway.chat("tiny").0, 200);
    let first = gateway.worker();
    assert_eq!(gateway.chat("other").0, 200);
    assert!(!is_running(first));
    assert_eq!(gateway.servers()[0]["name"], "other");
    assert_ne!(gateway.worker(), first);
}

#[test]
fn model_that_does_not_fit_is_rejected_with_the_numbers() {
    let env = env();
    let budget = smallest_plan(&env, "tiny") - 1;
    let gateway = Gateway::start(&env, &["--memory", &budget.to_string()]);
    let (status, error) = gateway.chat("tiny");
    assert_eq!(status, 400, "{error}");
    assert_eq!(error["error"]["code"], "model_does_not_fit");
    let message = error["error"]["message"].as_str().unwrap();
    for part in [budget.to_string(), (budget + 1).to_string()] {
        assert!(message.contains(&part), "{message}");
    }
}

#[test]
fn audit_rows_have_the_usage_of_the_responses() {
    let env = endless_env();
    let gateway = Gateway::start(&env, &[]);
    let (_, complete) = gateway.chat("tiny");
    let mut body = chat("tiny", 5);
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let events = EventStream::open(gateway.address(), &body).rest();
    let streamed = events
        .iter()
        .find(|event| event["usage"].is_object())
        .unwrap();

    let mut cancelled = gateway.endless("tiny");
    let mut tokens = 1;
    while tokens < 5 {
        cancelled.next_event().unwrap();
        tokens += 1;
    }
    drop(cancelled);
    wait_until("the generation is cancelled", || {
        gateway.servers()[0]["running"] == 0
    });
    assert_eq!(gateway.chat("absent").0, 404);
    gateway.stop();

    let rows = audit_rows(&env);
    let statuses: Vec<u16> = rows.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [200, 200, 499, 404], "{rows:#?}");
    for (row, response) in rows.iter().zip([&complete, streamed]) {
        let usage = row.usage.unwrap();
        let expected = &response["usage"];
        assert_eq!(expected["prompt_tokens"], usage.prompt_tokens, "{row:?}");
        assert_eq!(
            expected["completion_tokens"], usage.completion_tokens,
            "{row:?}"
        );
        let cached = &expected["prompt_tokens_details"]["cached_tokens"];
        assert_eq!(*cached, usage.cached_tokens, "{row:?}");
        assert_eq!(row.finish_reason.as_deref(), Some("length"));
        assert_eq!(row.model, "tiny");
        assert!(row.time_to_first_token_ms.is_some(), "{row:?}");
    }
    let usage = rows[2].usage.unwrap();
    // The first event may be the role only.
    assert!(usage.completion_tokens >= tokens - 1, "{:?}", rows[2]);
    assert_eq!(rows[2].finish_reason.as_deref(), Some("cancelled"));
    assert_eq!(rows[3].usage, None);
    assert_eq!(rows[3].error_kind.as_deref(), Some("model_not_found"));
}

#[test]
fn metrics_have_the_workers_with_their_labels() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.chat("tiny").0, 200);
    let id = gateway.servers()[0]["id"].as_str().unwrap().to_owned();
    let labels = format!("server=\"{id}\",model=\"tiny\"");
    let counted = "mlxm_gateway_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1";
    let client = Client::new(gateway.address());
    // Counted with the next batch of the audit log.
    wait_until("the request is counted", || {
        client.text("GET", "/metrics", "").1.contains(counted)
    });
    let (status, text) = client.text("GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        text.contains(&format!("mlxm_steps_total{{{labels}}} ")),
        "{text}"
    );
    assert!(text.contains("mlxm_gateway_database_up 1\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(text.matches("# TYPE mlxm_steps ").count(), 1, "{text}");

    let documentation = include_str!("../../../../docs/metrics.md");
    assert_eq!(exported_types(&text), documented_types(documentation));

    let (status, error) = client.text("DELETE", &format!("/api/servers/{id}"), "");
    assert!(status < 300, "{error}");
    wait_until("the metrics of the stopped model are left out", || {
        !client.text("GET", "/metrics", "").1.contains(&id)
    });
}

/// Names and types of the gateway's own metrics. OpenMetrics leaves the suffix of counters out of `# TYPE` lines.
fn exported_types(text: &str) -> BTreeSet<(String, &str)> {
    let types = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let suffix = if kind == "counter" { "_total" } else { "" };
        Some((format!("{name}{suffix}"), kind))
    });
    types
        .filter(|(name, _)| name.starts_with("mlxm_gateway_"))
        .collect()
}

/// Names and types of the gateway's own metrics, from the tables of the documentation.
fn documented_types(text: &str) -> BTreeSet<(String, &str)> {
    let rows = text.lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?;
        let (name, rest) = row.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        Some((name.to_owned(), kind))
    });
    rows.filter(|(name, _)| name.starts_with("mlxm_gateway_"))
        .collect()
}

/// Saves a profile before the gateway is started.
fn save_profile(env: &TestEnv, config: ProfileConfig) {
    with_store(env, async |store| {
        profiles::create(store, config).await.unwrap();
    });
}

fn profile(port: Option<u16>) -> ProfileConfig {
    ProfileConfig {
        name: "short".to_owned(),
        model: "tiny".to_owned(),
        port,
        load: LoadSettings {
            context_length: Some(1024),
            ..LoadSettings::default()
        },
        request: RequestSettings {
            max_tokens: Some(2),
            ..RequestSettings::default()
        },
        ..ProfileConfig::default()
    }
}

#[test]
fn long_system_prompt_of_a_profile_reaches_the_model() {
    let env = env();
    let prompt = "Answer briefly. ".repeat(4000);
    save_profile(
        &env,
        ProfileConfig {
            request: RequestSettings {
                system_prompt: Some(prompt.clone()),
                ..RequestSettings::default()
            },
            ..profile(None)
        },
    );
    let gateway = Gateway::start(&env, &[]);
    for _ in 0..2 {
        let (status, rendered) = gateway.post("/apply-template", &chat("short", 1));
        assert_eq!(status, 200, "{rendered}");
        let rendered = rendered["prompt"].as_str().unwrap();
        assert!(rendered.contains(prompt.trim_end()), "{}", rendered.len());
    }
}

#[test]
fn port_of_a_profile_serves_this_profile_only() {
    let env = env();
    env.local_model("other", &Checkpoint::endless());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    save_profile(&env, profile(Some(address.port())));
    let gateway = Gateway::start(&env, &[]);
    let address = address.to_string();
    let client = Client::new(&address);
    wait_until("the port is open", || {
        std::net::TcpStream::connect(&address).is_ok()
    });
    let mut body = chat("tiny", 3);
    body.as_object_mut().unwrap().remove("max_tokens");
    let (status, completion) = client.post("/v1/chat/completions", &body);
    assert_eq!(status, 200, "{completion}");
    assert_eq!(completion["choices"][0]["message"]["content"], "ab");
    assert_eq!(gateway.servers()[0]["size"]["context_length"], 1024);
    let (status, error) = client.post("/v1/chat/completions", &chat("other", 3));
    assert_eq!(status, 404, "{error}");
    let (_, list) = client.get("/v1/models");
    let names: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(names, ["short", "tiny"]);
}

#[test]
fn port_of_a_profile_that_is_in_use_does_not_stop_the_gateway() {
    let env = env();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    save_profile(&env, profile(Some(port)));
    let gateway = Gateway::start(&env, &[]);
    wait_until("the failure is logged", || {
        gateway.log().contains("the port of profile short")
    });
    if cfg!(target_os = "linux") {
        let holder = format!("process {}", std::process::id());
        assert!(gateway.log().contains(&holder), "{}", gateway.log());
    }
    assert_eq!(gateway.chat("short").0, 200);
}

#[test]
fn preloaded_model_is_in_memory_before_the_first_request() {
    let env = env();
    let gateway = Gateway::start_with(&env, &[], &[("MLXM_PRELOAD", "tiny,absent")]);
    wait_until("the model is loaded", || loaded(&gateway, "tiny") == true);
    wait_until("the other one is reported", || {
        gateway.log().contains("absent")
    });
}

#[test]
fn shutdown_cuts_off_requests_after_the_timeout() {
    let env = endless_env();
    let gateway = Gateway::start(&env, &["--shutdown-timeout", "0"]);
    let stream = gateway.endless("tiny");
    let worker = gateway.worker();
    gateway.signal(libc::SIGTERM);
    let outcome = gateway.end();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(outcome.stderr.contains("cut off"), "{outcome:#?}");
    drop(stream);
    wait_until("the worker exits", || !is_running(worker));
}

#[test]
fn second_signal_exits_at_once() {
    let env = endless_env();
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let gateway = Gateway::start(&env, &["--shutdown-timeout", "1000"]);
        let stream = gateway.endless("tiny");
        let worker = gateway.worker();
        gateway.signal(signal);
        wait_until("the shutdown has started", || {
            gateway.get("/health").1["status"] == "draining"
        });
        let (status, error) = gateway.chat("tiny");
        assert_eq!(status, 503, "{error}");
        gateway.signal(signal);
        assert_eq!(gateway.end().code, Some(code));
        drop(stream);
        // No gateway adopts it, and a test does not wait for its grace time.
        crate::gateway_process::kill(worker, libc::SIGKILL);
    }
}
