//! Running models of a gateway: `start`, `ps`, `status`, `stop`, `restart`, `logs`, `audit`, and `run` with them.

use serde_json::Value;

use crate::gateway_process::wait_until;
use crate::support::gateway::{Gateway, InBackground, description};
use crate::support::{Checkpoint, Outcome, TestEnv};

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::saying(&["O", "k"]));
    env.local_model("other", &Checkpoint::saying(&["Y", "o"]));
    env
}

#[test]
fn started_models_are_listed_used_and_stopped() {
    let env = env();
    let gateway = Gateway::start(&env);
    let empty = gateway.run(&["ps"]);
    assert!(
        empty.success().contains("no models are loaded"),
        "{empty:#?}"
    );

    let started = gateway.run(&["start", "tiny", "--ttl", "600"]);
    assert!(started.success().contains("tiny is loaded"), "{started:#?}");
    assert!(
        started.stdout.contains("context 4096 tokens"),
        "{started:#?}"
    );
    let server = &gateway.run(&["ps", "--json"]).json()[0];
    assert_eq!(
        (&server["name"], &server["state"]),
        (&"tiny".into(), &"ready".into())
    );
    assert_eq!(
        (&server["size"]["context_length"], &server["ttl_seconds"]),
        (&4096.into(), &600.into())
    );
    let table = gateway.run(&["ps"]);
    for part in [
        "NAME",
        "tiny",
        "ready",
        "4096",
        "after 10 min idle",
        "memory: ",
    ] {
        assert!(table.success().contains(part), "no {part:?} in {table:#?}");
    }

    // Loaded once: the prompt uses the running model.
    let pid = server["pid"].clone();
    assert_eq!(gateway.run(&["run", "tiny", "?"]).success(), "Ok\n");
    assert_eq!(gateway.run(&["ps", "--json"]).json()[0]["pid"], pid);
    wait_until("the request has a row", || {
        !gateway
            .run(&["audit", "--json"])
            .json()
            .as_array()
            .unwrap()
            .is_empty()
    });
    let row = &gateway.run(&["audit", "--json"]).json()[0];
    assert_eq!(
        (&row["model"], &row["status"]),
        (&"tiny".into(), &200.into())
    );
    assert!(
        gateway
            .run(&["audit"])
            .success()
            .contains("/v1/chat/completions")
    );
    assert_eq!(
        gateway.run(&["audit", "--errors", "--json"]).json(),
        serde_json::json!([])
    );

    gateway
        .run(&["stop", "tinny"])
        .failure(&["no running model `tinny`", "did you mean `tiny`?"]);
    let stopped = gateway.run(&["stop", "tiny"]);
    assert!(stopped.success().contains("tiny: stopping"), "{stopped:#?}");
    wait_until("the model stops", || gateway.running().is_empty());
}

#[test]
fn status_shows_the_gateway_and_its_models() {
    let env = env();
    let gateway = Gateway::start(&env);
    gateway.run(&["load", "tiny", "--pin"]).success();
    let status = gateway.run(&["status"]);
    for part in [
        gateway.url(),
        env!("CARGO_PKG_VERSION"),
        "mlxm.db",
        "tiny",
        "never (pinned)",
    ] {
        assert!(
            status.success().contains(part),
            "no {part:?} in {status:#?}"
        );
    }
    let json = gateway.run(&["status", "--json"]).json();
    assert_eq!(json["url"], gateway.url());
    assert_eq!(json["pool"]["servers"][0]["pinned"], true);
    assert_eq!(
        gateway.run(&["open", "--print"]).success().trim(),
        gateway.url()
    );
}

#[test]
fn dry_run_shows_memory_and_loads_nothing() {
    let env = env();
    let gateway = Gateway::start(&env);
    let plan = gateway.run(&["start", "tiny", "--dry-run"]);
    for part in [
        "tiny",
        "context length",
        "4096 tokens",
        "memory",
        " weights, ",
        " scratch",
        "free memory",
    ] {
        assert!(plan.success().contains(part), "no {part:?} in {plan:#?}");
    }
    let plan = gateway
        .run(&["start", "tiny", "--dry-run", "--json"])
        .json();
    assert_eq!(plan["outcome"], "fits");
    let purposes = ["weights_bytes", "kv_pool_bytes", "scratch_bytes"]
        .map(|name| plan["memory"][name].as_u64().unwrap());
    assert_eq!(
        purposes.iter().sum::<u64>(),
        plan["size"]["plan_bytes"].as_u64().unwrap()
    );
    assert!(gateway.running().is_empty());

    gateway
        .run(&["config", "set", "pool.memory_budget_bytes", "1000"])
        .success();
    let plan = gateway.run(&["start", "tiny", "--dry-run", "--json"]);
    assert_eq!(plan.code, Some(1), "{plan:#?}");
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["outcome"], "rejected");
}

#[test]
fn wrong_names_and_damaged_models_are_errors_with_the_next_step() {
    let env = env();
    let damaged = env.local_model("damaged", &Checkpoint::endless());
    std::fs::write(damaged.join("model.safetensors"), "no weights").unwrap();
    let gateway = Gateway::start(&env);
    gateway.run(&["start", "tinny"]).failure(&["tinny", "tiny"]);
    gateway
        .run(&["start", "--profile", "absent"])
        .failure(&["no profile `absent`", "mlxm profile list"]);
    gateway.run(&["start", "damaged"]).failure(&["damaged"]);
    gateway
        .run(&["restart", "tiny"])
        .failure(&["no running model `tiny`", "mlxm ps"]);
    gateway
        .run(&["logs", "tiny"])
        .failure(&["no running model `tiny`", "mlxm ps"]);
}

#[test]
fn restart_replaces_the_process() {
    let env = env();
    let gateway = Gateway::start(&env);
    let before = gateway.run(&["start", "tiny", "--json"]).json();
    let after = gateway.run(&["restart", "tiny", "--json"]).json();
    assert_eq!(after["state"], "ready");
    assert_ne!(before["pid"], after["pid"]);
    wait_until("the old process stops", || gateway.running() == ["tiny"]);
}

#[test]
fn all_models_are_stopped_at_once() {
    let env = env();
    let gateway = Gateway::start(&env);
    gateway.run(&["start", "tiny"]).success();
    gateway
        .run(&["start", "other", "--context-length", "512"])
        .success();
    assert_eq!(
        gateway.run(&["ps", "--json"]).json()[1]["size"]["context_length"],
        512
    );
    let quiet = gateway.run(&["ps", "--quiet"]);
    assert_eq!(quiet.success(), "tiny\nother\n");
    let mut stopped: Vec<String> = gateway
        .run(&["stop", "--all", "--now", "--quiet"])
        .success()
        .lines()
        .map(str::to_owned)
        .collect();
    stopped.sort();
    assert_eq!(stopped, ["other", "tiny"]);
    wait_until("the models stop", || gateway.running().is_empty());
}

#[test]
fn logs_are_filtered_by_level_and_text() {
    let env = env();
    let gateway = Gateway::start(&env);
    gateway.run(&["start", "tiny"]).success();
    gateway.run(&["run", "tiny", "?"]).success();
    let lines = gateway.run(&["logs", "tiny"]);
    assert!(!lines.success().is_empty(), "{lines:#?}");
    for line in gateway.run(&["logs", "--json"]).success().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string(), "{line}");
    }
    assert_eq!(
        gateway
            .run(&["logs", "tiny", "--search", "no such text"])
            .success(),
        ""
    );
    assert!(
        !gateway
            .run(&["logs", "tiny", "--level", "error"])
            .success()
            .contains("INFO")
    );
}

#[test]
fn options_for_this_process_load_the_model_in_it() {
    let env = env();
    let gateway = Gateway::start(&env);
    let outcome = gateway.run(&["run", "tiny", "?", "--threads", "1"]);
    assert_eq!(outcome.success(), "Ok\n");
    assert!(
        outcome.stderr.contains("cannot use --threads"),
        "{outcome:#?}"
    );
    let outcome = gateway.run(&["chat", "tiny", "?", "--in-process"]);
    assert_eq!((outcome.success(), outcome.stderr.as_str()), ("Ok\n", ""));
    assert!(gateway.running().is_empty());

    // A directory is no name of the gateway.
    let path = env.models().join("tiny");
    assert_eq!(
        gateway.run(&["run", path.to_str().unwrap(), "?"]).success(),
        "Ok\n"
    );
    assert!(gateway.running().is_empty());
    assert_eq!(gateway.run(&["run", "tiny", "?"]).success(), "Ok\n");
    assert_eq!(gateway.running(), ["tiny"]);
}

#[test]
fn start_starts_a_gateway_in_the_background() {
    let env = env();
    let gateway = InBackground(&env);
    let outcome = env.run(&["start", "tiny"]);
    assert!(outcome.success().contains("tiny is loaded"), "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("starting the gateway in the background"),
        "{outcome:#?}"
    );
    let first = description(&env).unwrap();
    assert_eq!(env.run(&["ps", "--quiet"]).success(), "tiny\n");
    // The next one uses it.
    let second = env.run(&["start", "other"]);
    assert!(!second.stderr.contains("in the background"), "{second:#?}");
    assert_eq!(description(&env).unwrap(), first);
    assert!(env.path().join("mlxm/logs/gateway.log").is_file());
    drop(gateway);
    assert!(env.run(&["ps"]).success().contains("no gateway is running"));
}

#[test]
fn gateway_that_cannot_be_started_is_an_error_with_its_output() {
    let env = env();
    let mut command = env.command(&["start", "tiny"]);
    Outcome::of(command.env("MLXM_SERVER_PORT", "many"))
        .failure(&["the gateway did not start", "MLXM_SERVER_PORT"]);
}
