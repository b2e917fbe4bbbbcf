//! Responses of chats whose gateway or server is killed, and those that wait for a download.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway_process::{Client, EventStream, Gateway, kill, wait_until};
use crate::serve::env;
use crate::support::hub::{HubFixture, REPO};

/// The age of the text that a gateway does not lose when it is killed.
const LOST: Duration = Duration::from_millis(500);

/// Starts a response of `abcabc…` that does not end soon.
fn start(gateway: &Gateway) -> Value {
    start_in(gateway, "openai")
}

/// As [`start`], in an API.
fn start_in(gateway: &Gateway, protocol: &str) -> Value {
    let chat = json!({"model": "tiny", "protocol": protocol});
    let (status, chat) = gateway.post("/api/chats", &chat);
    assert_eq!(status, 201, "{chat}");
    let body = json!({
        "content": [{"type": "text", "text": "Hi"}],
        "options": {"settings": {"temperature": 0.0}},
    });
    let path = format!("/api/chats/{}/messages", text(&chat["id"]));
    let (status, started) = gateway.post(&path, &body);
    assert_eq!(status, 202, "{started}");
    started
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn response(message: &Value) -> String {
    let parts = message["content"].as_array().unwrap().iter();
    parts.map(|part| text(&part["text"])).collect()
}

fn snapshot(gateway: &Gateway, started: &Value) -> Value {
    let (status, snapshot) = gateway.get(&format!("/api/runs/{}", text(&started["run"]["id"])));
    assert_eq!(status, 200, "{snapshot}");
    snapshot
}

/// The message of a run, once `accept` accepts it.
#[track_caller]
fn wait_for(
    gateway: &Gateway,
    started: &Value,
    what: &str,
    accept: impl Fn(&Value) -> bool,
) -> Value {
    wait_until(what, || accept(&snapshot(gateway, started)["message"]));
    snapshot(gateway, started)["message"].clone()
}

/// Whether a text is the beginning of `abcabc…`: nothing is missing, and nothing is there twice.
#[track_caller]
fn assert_is_complete(text: &str) {
    let expected: String = "abc".chars().cycle().take(text.len()).collect();
    assert!(text == expected, "{text}");
}

/// The length of a text, and when all of it had been received.
type Received = (Instant, usize);

/// Reads the events of a run until the gateway is gone. The first ones may be missing: `length` is that of the text before them.
fn follow(gateway: &Gateway, snapshot: &Value) -> JoinHandle<Vec<Received>> {
    let chat = text(&snapshot["run"]["chat"]);
    let last = text(&snapshot["last_event_id"]);
    let path = format!("/api/events?topics=chat:{chat}&last_event_id={last}");
    let mut events = EventStream::get(gateway.address(), &path);
    let mut length = response(&snapshot["message"]).len();
    let mut seq = snapshot["run"]["seq"].as_u64().unwrap();
    std::thread::spawn(move || {
        let mut received = Vec::new();
        while let Some(event) = events.next_event() {
            let event = &event["event"]["event"];
            // Those before are in the snapshot.
            if event["seq"]
                .as_u64()
                .is_some_and(|number| number == seq + 1)
            {
                seq += 1;
                length += event["text"].as_str().map_or(0, str::len);
                received.push((Instant::now(), length));
            }
        }
        received
    })
}

#[test]
fn killed_gateway_leaves_an_interrupted_response_that_can_be_continued() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let started = start(&gateway);
    wait_for(&gateway, &started, "text", |message| {
        !response(message).is_empty()
    });
    let before_kill = snapshot(&gateway, &started);
    let reader = follow(&gateway, &before_kill);
    std::thread::sleep(3 * LOST);
    // It is killed after this moment, and sent each text before it was received.
    let killed_at = Instant::now();
    gateway.signal(libc::SIGKILL);
    assert_eq!(gateway.end().code, None);
    assert_eq!(before_kill["message"]["state"], "running", "{before_kill}");
    let received = reader.join().unwrap();
    let old = received
        .iter()
        .filter(|(at, _)| *at + LOST < killed_at)
        .map(|(_, length)| *length);
    let seen = old.max().unwrap_or_else(|| panic!("{received:?}"));

    let gateway = Gateway::start(&env, &[]);
    let interrupted = snapshot(&gateway, &started);
    assert_eq!(interrupted["run"]["state"], "finished");
    let message = &interrupted["message"];
    assert_eq!(message["state"], "interrupted", "{message}");
    let kept = response(message);
    assert!(kept.len() >= seen, "{} of {seen}: {received:?}", kept.len());
    assert_is_complete(&kept);
    let usage = &message["usage"];
    assert!(usage["completion_tokens"].as_u64() > Some(0), "{usage}");
    assert!(usage["duration_ms"].as_u64() > Some(0), "{usage}");

    let (chat, id) = (text(&started["run"]["chat"]), text(&message["id"]));
    let path = format!("/api/chats/{chat}/messages/{id}/continue");
    let (status, continued) = gateway.post(&path, &json!({"settings": {"temperature": 0.0}}));
    assert_eq!(status, 202, "{continued}");
    let longer = wait_for(&gateway, &continued, "more text", |message| {
        response(message).len() > kept.len()
    });
    assert_is_complete(&response(&longer));
    let stop = format!("/api/runs/{}/stop", text(&continued["run"]["id"]));
    let (status, stopped) = gateway.post(&stop, &json!({}));
    assert_eq!(status, 200, "{stopped}");
    assert_eq!(stopped["message"]["state"], "stopped");
    assert_is_complete(&response(&stopped["message"]));
}

/// Kills the server that writes a response; returns its id, and the response.
#[track_caller]
fn kill_server(gateway: &Gateway, started: &Value) -> (u32, Value) {
    wait_for(gateway, started, "text", |message| {
        !response(message).is_empty()
    });
    let worker = gateway.worker();
    kill(worker, libc::SIGKILL);
    let failed = wait_for(gateway, started, "failure", |message| {
        message["state"] != "running"
    });
    assert_eq!(failed["state"], "failed", "{failed}");
    assert_is_complete(&response(&failed));
    assert!(!response(&failed).is_empty());
    let problem = &failed["problem"];
    assert_eq!(problem["code"], "worker_failed", "{problem}");
    let detail = text(&problem["detail"]);
    assert!(
        detail.contains("killed") && detail.contains("tokens"),
        "{detail}"
    );
    assert!(problem["advice"].is_string(), "{problem}");
    (worker, failed)
}

#[test]
fn killed_server_is_the_cause_in_anthropics_api_too() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let started = start_in(&gateway, "anthropic");
    kill_server(&gateway, &started);
    gateway.stop();
}

#[test]
fn killed_server_fails_the_response_with_the_cause_and_another_is_generated() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let started = start(&gateway);
    let (worker, failed) = kill_server(&gateway, &started);

    let (chat, id) = (text(&started["run"]["chat"]), text(&failed["id"]));
    let path = format!("/api/chats/{chat}/messages/{id}/regenerate");
    let options = json!({"settings": {"temperature": 0.0, "max_tokens": 6}});
    let (status, again) = gateway.post(&path, &options);
    assert_eq!(status, 202, "{again}");
    let complete = wait_for(&gateway, &again, "completion", |message| {
        message["state"] != "running"
    });
    assert_eq!(complete["state"], "complete", "{complete}");
    assert_eq!(response(&complete), "abcabc");
    assert_eq!(complete["finish_reason"], "length");
    assert_ne!(gateway.worker(), worker);

    // The same settings and seed give the same text, bit for bit.
    let path = format!("/api/runs/{}/reproduce", text(&again["run"]["id"]));
    let (status, reproduced) = gateway.post(&path, &json!({}));
    assert_eq!(status, 200, "{reproduced}");
    assert_eq!(reproduced["is_identical"], true, "{reproduced}");
    gateway.stop();
}

#[test]
fn gateway_that_is_stopped_interrupts_responses_with_all_their_text() {
    let env = env();
    let gateway = Gateway::start(&env, &["--shutdown-timeout", "0"]);
    let started = start(&gateway);
    let seen = wait_for(&gateway, &started, "text", |message| {
        !response(message).is_empty()
    });
    gateway.signal(libc::SIGTERM);
    gateway.end();
    let gateway = Gateway::start(&env, &[]);
    let message = snapshot(&gateway, &started)["message"].clone();
    assert_eq!(message["state"], "interrupted", "{message}");
    assert_eq!(message["finish_reason"], "interrupted");
    assert!(response(&message).len() >= response(&seen).len());
    assert_is_complete(&response(&message));
}

#[test]
fn message_is_sent_while_its_model_is_downloaded() {
    let fixture = HubFixture::slow();
    let gateway = fixture.gateway();
    let client = Client::new(gateway.url().trim_start_matches("http://"));
    let (status, download) = client.post("/api/downloads", &json!({"repo_id": REPO}));
    assert_eq!(status, 201, "{download}");
    let profile = json!({"name": "soon", "model": REPO});
    let (status, profile) = client.post("/api/profiles", &profile);
    assert_eq!(status, 201, "{profile}");
    for (alias, target) in [("gpt-4o", REPO), ("claude-*", "soon")] {
        let alias = json!({"name": alias, "target": target});
        let (status, alias) = client.post("/api/aliases", &alias);
        assert_eq!(status, 200, "{alias}");
    }
    let runs = [REPO, "soon", "gpt-4o", "claude-haiku"].map(|model| {
        let (status, chat) = client.post("/api/chats", &json!({"model": model}));
        assert_eq!(status, 201, "{chat}");
        let path = format!("/api/chats/{}/messages", text(&chat["id"]));
        let body = json!({"content": [{"type": "text", "text": "?"}]});
        let (status, started) = client.post(&path, &body);
        assert_eq!(status, 202, "{started}");
        format!("/api/runs/{}", text(&started["run"]["id"]))
    });
    for run in &runs {
        wait_until("the response waits for the download", || {
            let snapshot = client.get(run).1;
            let waiting = &snapshot["run"]["waiting"];
            waiting["for"] == "download" && waiting["of"].is_u64()
        });
    }
    fixture.hub.unthrottle();
    for run in &runs {
        wait_until("the response ends", || {
            client.get(run).1["run"]["state"] == "finished"
        });
        let message = client.get(run).1["message"].clone();
        assert_eq!(message["state"], "complete", "{message}");
        assert_eq!(response(&message), "Ok");
    }
}
