//! `mlxm backup`, `restore` and `secrets`.

use crate::support::gateway::Gateway;
use crate::support::{Checkpoint, TestEnv};

fn profiles(gateway: &Gateway<'_>) -> String {
    gateway
        .run(&["profile", "list", "--quiet"])
        .success()
        .trim()
        .to_owned()
}

#[test]
fn backup_of_a_running_gateway_is_restored() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    let gateway = Gateway::start(&env);
    gateway
        .run(&["profile", "new", "first", "--model", "tiny"])
        .success();
    let backup = gateway.run(&["backup", "copy.db", "--json"]).json();
    assert!(
        backup["path"].as_str().unwrap().ends_with("copy.db"),
        "{backup}"
    );
    assert!(backup["size_bytes"].as_u64().unwrap() > 0, "{backup}");
    gateway
        .run(&["backup", "copy.db"])
        .failure(&["copy.db", "exists"]);
    let unnamed = gateway.run(&["backup", "--quiet"]);
    assert!(
        std::path::Path::new(unnamed.success().trim()).is_file(),
        "{unnamed:#?}"
    );

    gateway
        .run(&["profile", "new", "second", "--model", "tiny"])
        .success();
    gateway
        .run(&["restore", "copy.db", "--yes"])
        .failure(&["in use by"]);
    assert_eq!(profiles(&gateway), "first\nsecond");
    drop(gateway);

    env.run(&["restore", "copy.db"])
        .failure_with(2, &["use --yes"]);
    let restored = env.run(&["restore", "copy.db", "--yes"]);
    assert!(
        restored.success().contains("the replaced database is"),
        "{restored:#?}"
    );
    let gateway = Gateway::start(&env);
    assert_eq!(profiles(&gateway), "first");
}

#[test]
fn restore_rejects_other_files_and_missing_ones() {
    let env = TestEnv::new();
    std::fs::write(env.path().join("notes.txt"), "not a database").unwrap();
    env.run(&["restore", "notes.txt", "--yes"])
        .failure(&["notes.txt"]);
    env.run(&["restore", "absent.db", "--yes"])
        .failure(&["absent.db", "no such file"]);
    env.run(&["backup", "copy.db"])
        .failure(&["mlxm.db", "no such file"]);
}

#[test]
fn secrets_are_rotated_while_no_gateway_is_running() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env);
    gateway.run(&["secrets", "rotate"]).failure(&["in use by"]);
    drop(gateway);
    let key = env.path().join("mlxm/secret.key");
    let before = std::fs::read(&key).unwrap();
    let rotated = env.run(&["secrets", "rotate", "--json"]).json();
    assert_eq!(rotated["unreadable"], serde_json::json!([]));
    assert_ne!(std::fs::read(&key).unwrap(), before);
    // The keys of workers are stored with it.
    drop(Gateway::start(&env));
}
