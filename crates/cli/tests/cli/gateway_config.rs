//! `mlxm config` and `audit export`.

use serde_json::json;

use crate::support::TestEnv;
use crate::support::gateway::Gateway;

#[test]
fn settings_show_their_values_and_sources() {
    let env = TestEnv::new();
    let gateway = Gateway::start_with(&env, &[("MLXM_TTL_SECONDS", "60")]);
    let list = gateway.run(&["config", "list"]);
    for part in [
        "SETTING",
        "pool.ttl_seconds",
        "environment (MLXM_TTL_SECONDS), locked",
        "default",
    ] {
        assert!(list.success().contains(part), "no {part:?} in {list:#?}");
    }
    gateway
        .run(&["config", "set", "pool.ttl_seconds", "90"])
        .failure(&[
            "the environment variable MLXM_TTL_SECONDS",
            "unset MLXM_TTL_SECONDS",
        ]);
    gateway
        .run(&["config", "reset", "pool.ttl_seconds"])
        .failure(&["unset MLXM_TTL_SECONDS"]);
    assert_eq!(
        gateway
            .run(&["config", "get", "pool.ttl_seconds", "--quiet"])
            .success(),
        "60\n"
    );
}

#[test]
fn settings_are_changed_and_reset() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env);
    let get = |key: &str| gateway.run(&["config", "get", key, "--json"]).json();
    gateway
        .run(&["config", "set", "audit.retention_days", "30"])
        .success();
    let setting = get("audit.retention_days");
    assert_eq!(
        (&setting["value"], &setting["source"]),
        (&json!(30), &json!("database"))
    );
    gateway
        .run(&["config", "reset", "audit.retention_days"])
        .success();
    let setting = get("audit.retention_days");
    assert_eq!(
        (&setting["value"], &setting["source"]),
        (&json!(90), &json!("default"))
    );

    gateway
        .run(&["config", "set", "pool.ttl_seconds", "-1"])
        .success();
    assert_eq!(get("pool.ttl_seconds")["value"], -1);
    gateway
        .run(&["config", "set", "pool.preload", "a, b"])
        .success();
    assert_eq!(get("pool.preload")["value"], json!(["a", "b"]));
    gateway
        .run(&["config", "set", "pool.preload", "[]"])
        .success();
    assert_eq!(get("pool.preload")["value"], json!([]));
}

#[test]
fn wrong_settings_and_values_are_errors_with_the_next_step() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env);
    gateway
        .run(&["config", "get", "pool.tl_seconds"])
        .failure(&[
            "no setting `pool.tl_seconds`",
            "did you mean `pool.ttl_seconds`",
        ]);
    gateway
        .run(&["config", "set", "audit.retention_days", "soon"])
        .failure(&["audit.retention_days", "a number of days from 1 to 3650"]);
}

#[test]
fn audit_is_exported_in_each_format() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env);
    let csv = gateway.run(&["audit", "export"]);
    assert!(
        csv.success().lines().next().unwrap().contains("request_id"),
        "{csv:#?}"
    );
    gateway
        .run(&[
            "audit",
            "export",
            "--format",
            "jsonl",
            "--output",
            "rows.jsonl",
        ])
        .success();
    assert_eq!(
        std::fs::read_to_string(env.path().join("rows.jsonl")).unwrap(),
        ""
    );
    gateway
        .run(&["audit", "export", "--output", "absent/rows.csv"])
        .failure(&["cannot write absent/rows.csv"]);
    assert!(gateway.run(&["audit"]).success().contains("no requests"));
}
