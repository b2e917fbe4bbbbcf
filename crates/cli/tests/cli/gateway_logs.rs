//! The gateway's own log: its file, its level, and `mlxm logs`.

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::gateway_process::{Client, Gateway, chat, home, wait_until};
use crate::support::gateway::{InBackground, description};
use crate::support::{Checkpoint, TestEnv};

fn log_file(env: &TestEnv) -> PathBuf {
    home(env).join("logs/gateway.log")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Sends a request that is logged at level info, with this id.
fn request(address: &str, id: &str) {
    let client = Client::new(address).header(&format!("x-request-id: {id}"));
    assert_eq!(client.get("/health").0, 200);
}

#[test]
fn log_file_has_json_lines_and_is_shown_without_a_name() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env, &[]);
    request(gateway.address(), "shown-1");
    let file = log_file(&env);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for line in read(&file).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(read(&file).contains("shown-1"));
    // As before, also on standard error.
    assert!(gateway.log().contains("shown-1"));

    let shown = env.run(&["logs", "--search", "response sent"]);
    assert!(
        shown.success().contains("INFO  response sent status=200"),
        "{shown:#?}"
    );
    let request = "id=shown-1 method=GET path=/health";
    assert!(shown.stdout.contains(request), "{shown:#?}");
    assert_eq!(env.run(&["logs", "--search", "no such text"]).success(), "");
    let line = env.run(&["logs", "--json", "-n", "1"]).json();
    assert_eq!(line["server"], Value::Null, "{line}");
    let (status, lines) = gateway.get("/api/logs?level=error");
    assert_eq!((status, &lines["lines"]), (200, &serde_json::json!([])));
}

#[test]
fn worker_logs_requests_of_clients_and_no_polling_of_the_gateway() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.chat("tiny").0, 200);
    // Requests those of the worker, too.
    let (_, metrics) = Client::new(gateway.address()).text("GET", "/metrics", "");
    assert!(metrics.contains("model=\"tiny\""), "{metrics}");
    let shown = env.run(&["logs", "tiny", "--search", "response sent"]);
    assert!(
        shown.success().contains("/v1/chat/completions"),
        "{shown:#?}"
    );
    assert!(!shown.stdout.contains("/metrics"), "{shown:#?}");
}

#[test]
fn level_changes_while_the_gateway_runs() {
    let env = TestEnv::new();
    let gateway = Gateway::start(&env, &[]);
    let number = Cell::new(0);
    // Whether a request at level info is logged, when one at level warn is.
    let has_info = || {
        number.set(number.get() + 1);
        let info = format!("info-{}.", number.get());
        request(gateway.address(), &info);
        assert_eq!(gateway.chat("absent").0, 404);
        let text = read(&log_file(&env));
        let warnings = text.matches("request rejected").count();
        assert_eq!(warnings, number.get(), "{text}");
        text.contains(&info)
    };
    assert!(has_info());
    env.run(&["config", "set", "logs.level", "warn"]).success();
    wait_until("the level is warn", || !has_info());
    env.run(&["config", "reset", "logs.level"]).success();
    wait_until("the level is info", has_info);
    env.run(&["config", "set", "logs.level", "loud"])
        .failure(&["logs.level", "off, error, warn, info, debug or trace"]);
}

#[test]
fn option_and_variable_lock_the_level() {
    let env = TestEnv::new();
    let gateway = Gateway::start_with(
        &env,
        &["--log-level", "error"],
        &[("MLXM_LOG_LEVEL", "info")],
    );
    request(gateway.address(), "not-logged");
    assert_eq!(gateway.chat("absent").0, 404);
    assert_eq!(read(&log_file(&env)), "");
    env.run(&["config", "set", "logs.level", "debug"])
        .failure(&["logs.level", "a flag of `mlxm serve`", "omit the flag"]);
    gateway.stop();

    let gateway = Gateway::start_with(&env, &[], &[("MLXM_LOG_LEVEL", "error")]);
    request(gateway.address(), "not-logged");
    assert_eq!(read(&log_file(&env)), "");
    env.run(&["config", "set", "logs.level", "debug"])
        .failure(&["MLXM_LOG_LEVEL"]);
}

#[test]
fn log_file_is_another_one_or_none() {
    let env = TestEnv::new();
    let other = env.path().join("elsewhere/own.log");
    let variable = ("MLXM_LOG_FILE", other.to_str().unwrap());
    let gateway = Gateway::start_with(&env, &[], &[variable]);
    request(gateway.address(), "in-the-other-file");
    assert!(read(&other).contains("in-the-other-file"));
    assert!(!log_file(&env).exists());
    let shown = env.run(&["logs", "--search", "response sent"]);
    assert!(shown.success().contains("response sent"), "{shown:#?}");
    gateway.stop();

    let gateway = Gateway::start_with(&env, &[], &[("MLXM_LOG_FILE", "off")]);
    request(gateway.address(), "in-no-file");
    env.run(&["logs"])
        .failure(&["logs.file is off", "mlxm config reset logs.file"]);
    assert!(!log_file(&env).exists());
    gateway.stop();

    // A file that cannot be opened is named, and models are served.
    let below_a_file = other.join("own.log");
    let variable = ("MLXM_LOG_FILE", below_a_file.to_str().unwrap());
    let gateway = Gateway::start_with(&env, &[], &[variable]);
    wait_until("the failure is logged", || {
        gateway.log().contains("the log file cannot be opened")
    });
    assert_eq!(gateway.get("/health").0, 200);
}

#[test]
fn output_of_a_gateway_in_the_background_has_each_line_once() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    let _gateway = InBackground(&env);
    env.run(&["start", "tiny"]).success();
    let url = description(&env).unwrap()["url"].clone();
    let address = url
        .as_str()
        .unwrap()
        .trim_start_matches("http://")
        .to_owned();
    let (status, completion) = Client::new(&address).post("/v1/chat/completions", &chat("tiny", 1));
    assert_eq!(status, 200, "{completion}");
    assert_eq!(
        Client::new(&address)
            .post("/v1/chat/completions", &chat("once-only", 1))
            .0,
        404
    );
    let text = read(&log_file(&env));
    let lines = text.lines().filter(|line| line.contains("once-only"));
    assert_eq!(lines.count(), 1, "{text}");

    let all = env.run(&["logs", "--all"]);
    for part in ["[gateway]", "[tiny]"] {
        assert!(all.success().contains(part), "no {part} in {all:#?}");
    }
}
