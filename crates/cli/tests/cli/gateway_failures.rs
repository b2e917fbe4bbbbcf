//! Failures of workers, of the gateway itself, and of its environment.

use std::net::TcpListener;

use crate::gateway_process::{Gateway, audit_rows, home, is_running, kill, wait_until};
use crate::serve::{env, read_startup};
use crate::support::{Checkpoint, Outcome};

#[test]
fn stream_of_a_killed_worker_ends_with_an_error_event_and_the_next_request_restarts_it() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let stream = gateway.endless("tiny");
    let worker = gateway.worker();
    kill(worker, libc::SIGKILL);
    let events = stream.rest();
    let error = events.iter().find(|event| event["error"].is_object());
    let error = &error.unwrap_or_else(|| panic!("{events:?}"))["error"];
    assert_eq!(error["code"], "worker_failed", "{error}");

    let (status, completion) = gateway.chat("tiny");
    assert_eq!(status, 200, "{completion}");
    assert_ne!(gateway.worker(), worker);
    gateway.stop();
    let rows = audit_rows(&env);
    let statuses: Vec<u16> = rows.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [502, 200], "{rows:#?}");
}

#[test]
fn crash_loop_ends_with_an_error_that_names_the_cause() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    for _ in 0..5 {
        assert_eq!(gateway.chat("tiny").0, 200);
        let worker = gateway.worker();
        kill(worker, libc::SIGKILL);
        wait_until("the gateway notices", || {
            gateway
                .servers()
                .iter()
                .all(|server| server["pid"] != worker)
        });
    }
    let (status, error) = gateway.chat("tiny");
    assert_eq!(status, 503, "{error}");
    assert_eq!(error["error"]["code"], "model_cannot_start");
    let message = error["error"]["message"].as_str().unwrap();
    for part in ["crash_loop", "5 times", "mlxm start"] {
        assert!(message.contains(part), "{message}");
    }
    // Other models are not affected.
    env.local_model("other", &Checkpoint::endless());
    wait_until("the model is listed", || {
        gateway.get("/v1/models/other").0 == 200
    });
    assert_eq!(gateway.chat("other").0, 200);
}

#[test]
fn damaged_model_is_rejected_and_not_started_again() {
    let env = env();
    let damaged = env.local_model("damaged", &Checkpoint::endless());
    std::fs::write(damaged.join("config.json"), "{").unwrap();
    let gateway = Gateway::start(&env, &[]);
    for _ in 0..2 {
        let (status, error) = gateway.chat("damaged");
        assert_eq!(status, 400, "{error}");
        assert_eq!(error["error"]["code"], "model_invalid", "{error}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("config.json"), "{message}");
    }
}

#[test]
fn gateway_after_a_kill_adopts_the_running_worker() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let stream = gateway.endless("tiny");
    let worker = gateway.worker();
    gateway.signal(libc::SIGKILL);
    assert_eq!(gateway.end().code, None);
    // The connection is closed; no process is left that could send an error event.
    stream.rest();
    assert!(is_running(worker));

    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.worker(), worker);
    assert_eq!(gateway.chat("tiny").0, 200);
    assert_eq!(gateway.worker(), worker);
    gateway.stop();
    assert!(!is_running(worker));
}

#[test]
fn kept_workers_are_adopted_by_the_next_gateway() {
    let env = env();
    let gateway = Gateway::start(&env, &["--keep-workers"]);
    assert_eq!(gateway.chat("tiny").0, 200);
    let worker = gateway.worker();
    gateway.stop();
    assert!(is_running(worker));
    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.worker(), worker);
    assert_eq!(gateway.chat("tiny").0, 200);
    gateway.stop();
    assert!(!is_running(worker));
}

#[test]
fn second_gateway_on_the_same_database_names_the_first() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let pid = format!("process {}", gateway.pid());
    let second = env.run(&["serve", "--port", "0"]);
    second.failure(&["mlxm.db", &pid, gateway.url()]);
    assert_eq!(gateway.chat("tiny").0, 200);
    assert!(home(&env).join("gateway.json").exists());
}

#[test]
fn port_in_use_names_the_program() {
    let env = env();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let outcome = env.run(&["serve", "--port", &port]);
    outcome.failure(&["cannot listen on", "choose another --port"]);
    if cfg!(target_os = "linux") {
        let holder = format!("process {}", std::process::id());
        assert!(outcome.stderr.contains(&holder), "{outcome:#?}");
    }
    assert!(!home(&env).join("gateway.json").exists());
    let json = env.run(&["serve", "--json", "--port", &port]);
    let (_, failed) = read_startup(&mut json.stdout.as_bytes());
    assert_eq!(failed["code"], "cannot_listen", "{failed}");
}

#[test]
fn bad_setting_fails_with_its_source() {
    let env = env();
    let mut command = env.command(&["serve", "--port", "0"]);
    command.env("MLXM_QUEUE_TIMEOUT_SECONDS", "soon");
    let outcome = Outcome::of(&mut command);
    outcome.failure(&["MLXM_QUEUE_TIMEOUT_SECONDS is `soon`", "unset it"]);
}
