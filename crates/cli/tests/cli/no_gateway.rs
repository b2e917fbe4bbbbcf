//! Commands of the gateway while none is running.

use serde_json::{Value, json};

use crate::support::gateway::file;
use crate::support::{Outcome, TestEnv};

#[test]
fn commands_that_need_no_gateway_say_so() {
    let env = TestEnv::new();
    let commands: [&[&str]; 5] = [
        &["ps"],
        &["stop", "tiny"],
        &["stop", "--all"],
        &["downloads"],
        &["downloads", "list", "--all"],
    ];
    for arguments in commands {
        let outcome = env.run(arguments);
        outcome.success();
        let text = outcome.stdout.clone() + &outcome.stderr;
        assert!(text.contains("no gateway is running"), "{outcome:#?}");
        let with_json = [arguments, &["--json"]].concat();
        assert_eq!(env.run(&with_json).json(), json!([]), "{arguments:?}");
    }
    let status = env.run(&["status"]);
    assert!(status.success().contains("`mlxm serve`"), "{status:#?}");
    assert_eq!(env.run(&["status", "--json"]).json()["url"], Value::Null);
    // None of them has started one, or created the data directory.
    assert!(!env.path().join("mlxm").exists());
}

#[test]
fn commands_that_need_a_gateway_say_how_to_start_it() {
    let env = TestEnv::new();
    for arguments in [
        ["restart", "tiny"].as_slice(),
        &["profile", "list"],
        &["audit"],
        &["audit", "export"],
        &["config", "list"],
        &["downloads", "pause", "tiny"],
        &["open", "--print"],
    ] {
        env.run(arguments)
            .failure(&["no gateway is running", "mlxm serve", "mlxm start MODEL"]);
    }
    assert!(!env.path().join("mlxm").exists());
}

#[test]
fn logs_are_read_from_files_without_a_gateway() {
    let env = TestEnv::new();
    let logs = env.path().join("mlxm/logs");
    let outcome = env.run(&["logs"]);
    outcome.success();
    assert!(
        outcome.stderr.contains("it has no log file"),
        "{outcome:#?}"
    );

    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(
        logs.join("gateway.log"),
        concat!(
            r#"{"timestamp":"2026-01-02T03:04:05Z","level":"INFO","message":"first","models":2}"#,
            "\n",
            r#"{"level":"WARN","message":"second"}"#,
            "\n  continued\n",
            r#"{"level":"INFO","message":"third"}"#,
            "\n",
        ),
    )
    .unwrap();
    let outcome = env.run(&["logs", "-n", "3"]);
    assert_eq!(
        outcome.success(),
        "WARN  second\n  continued\nINFO  third\n"
    );
    assert!(
        outcome.stderr.contains("no gateway is running"),
        "{outcome:#?}"
    );
    assert_eq!(
        env.run(&["logs", "--level", "warn"]).success(),
        "WARN  second\n  continued\n"
    );
    assert!(
        env.run(&["logs", "--search", "FIRST"])
            .success()
            .ends_with(" INFO  first models=2\n")
    );
    let line = env.run(&["logs", "--search", "third", "--json"]).json();
    assert_eq!(
        (&line["message"], &line["level"], &line["server"]),
        (&json!("third"), &json!("info"), &json!(null))
    );
    env.run(&["logs", "-f"])
        .failure(&["no gateway is running", "omit --follow"]);

    // A client's model name must not control the terminal.
    let hostile = r#"{"level":"WARN","message":"unknown model `\u001b[2Ja\u009bb\r\tc`"}"#;
    std::fs::write(logs.join("gateway.log"), format!("{hostile}\n")).unwrap();
    assert_eq!(
        env.run(&["logs"]).success(),
        "WARN  unknown model `\\u{1b}[2Ja\\u{9b}b\\r\tc`\n"
    );

    let server = "0199aaaa-0000-7000-8000-000000000000";
    std::fs::write(logs.join(format!("{server}.log")), "INFO loaded\n").unwrap();
    assert_eq!(env.run(&["logs", "0199"]).success(), "INFO loaded\n");
    env.run(&["logs", "tiny"])
        .failure(&["`tiny`", "name of a file"]);
}

#[test]
fn file_of_an_exited_gateway_is_ignored_and_a_damaged_one_is_named() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.path().join("mlxm")).unwrap();
    let stale = json!({
        "url": "http://127.0.0.1:1", "version": "0", "token": "secret",
        // This process is another one than the one that was started then.
        "pid": std::process::id(), "start_time_s": 1, "program": "/bin/mlxm",
    });
    std::fs::write(file(&env), stale.to_string()).unwrap();
    assert!(env.run(&["ps"]).success().contains("no gateway is running"));

    std::fs::write(file(&env), "{}").unwrap();
    env.run(&["ps"])
        .failure(&["gateway.json", "delete the file"]);
}

#[test]
fn gateway_of_the_variable_or_option_is_used_and_must_be_reachable() {
    let env = TestEnv::new();
    let mut command = env.command(&["ps"]);
    Outcome::of(command.env("MLXM_HOST", "127.0.0.1:1"))
        .failure(&["cannot connect to http://127.0.0.1:1"]);
    env.run(&["ps", "--url", "http://127.0.0.1:1"])
        .failure(&["cannot connect to http://127.0.0.1:1"]);
    env.run(&["ps", "--url", "ftp://host"])
        .failure(&["ftp://host", "must be http or https"]);
}

#[test]
fn missing_and_contradictory_arguments_are_usage_errors() {
    let env = TestEnv::new();
    for arguments in [
        ["start"].as_slice(),
        &["start", "a", "--profile", "b"],
        &["start", "a", "--ttl", "-2"],
        &["start", "a", "--threads", "4"],
        &["start", "a", "--memory", "4GB"],
        &["stop"],
        &["stop", "a", "--all"],
        &["restart"],
        &["profile"],
        &["profile", "new", "a"],
        &["profile", "new", "a", "--model", "b", "--set", "no-value"],
        &["downloads", "order"],
        &[
            "downloads",
            "cancel",
            "a",
            "--keep-partial",
            "--delete-partial",
        ],
        &["audit", "--since", "soon"],
        &["audit", "export", "--format", "xml"],
        &["logs", "--level", "loud"],
        &["config"],
        &["config", "set", "key"],
        &["secrets"],
        &["pull", "a/b", "--detach", "--all"],
        &["run", "a", "--in-process", "--url", "http://host"],
    ] {
        let outcome = env.run(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:#?}");
    }
}
