//! `mlxm serve`: startup, invalid options and shutdown.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::checkpoint::write_json;
use crate::support::{Checkpoint, Outcome, TestEnv};

/// Reads the lines of `serve --json` until the server is ready or has failed: those of the load, and the last one.
pub fn read_startup(output: &mut impl BufRead) -> (Vec<Value>, Value) {
    let mut loading = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "no more lines");
        let value: Value = serde_json::from_str(&line).unwrap();
        if value["event"] != "loading" {
            return (loading, value);
        }
        loading.push(value);
    }
}

/// A running server process.
pub struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    /// The `loading` lines.
    loading: Vec<Value>,
    ready: Value,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (loading, ready) = read_startup(&mut output);
        Self {
            child,
            output,
            loading,
            ready,
        }
    }

    pub fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    pub fn end(self) -> Outcome {
        Outcome::from(self.child.wait_with_output().unwrap())
    }

    /// Requests an endless completion and waits for its first event.
    fn start_endless_completion(&self) -> TcpStream {
        let messages = json!([{"role": "user", "content": "Hi"}]);
        let body =
            json!({"model": "tiny", "messages": messages, "ignore_eos": true, "stream": true});
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.url().trim_start_matches("http://")).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while !line.starts_with("data:") {
            line.clear();
            assert_ne!(
                reader.read_line(&mut line).unwrap(),
                0,
                "the stream ended without an event"
            );
        }
        stream
    }
}

pub fn env() -> TestEnv {
    let env = TestEnv::new();
    let folder = env.local_model("tiny", &Checkpoint::endless());
    // Completions that do not end during a test.
    let file = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    config["max_position_embeddings"] = 1_000_000.into();
    write_json(&file, &config);
    env
}

const ARGUMENTS: [&str; 12] = [
    "serve",
    "--model",
    "tiny",
    "--context-length",
    "1000000",
    "--max-sequences",
    "1",
    "--port",
    "0",
    "--json",
    "--threads",
    "1",
];

pub fn serve(env: &TestEnv, more: &[&str]) -> Server {
    Server::start(env.command(&ARGUMENTS).args(more))
}

#[test]
fn server_serves_run_and_exits_on_sigterm() {
    let env = env();
    let server = serve(&env, &[]);
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.ready["pid"], server.child.id());
    let arguments = [
        "run",
        "--url",
        server.url(),
        "Hi",
        "--raw",
        "--max-tokens",
        "6",
        "--temp",
        "0",
    ];
    let remote = env.run(&arguments);
    let local = env.run(&[
        "run",
        "tiny",
        "Hi",
        "--raw",
        "--max-tokens",
        "6",
        "--temp",
        "0",
    ]);
    assert_eq!(remote.code, Some(0), "{remote:#?}");
    assert_eq!(remote.stdout, local.stdout);
    server.signal(libc::SIGTERM);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn json_reports_the_load_and_what_is_served() {
    let env = env();
    let server = serve(&env, &[]);
    let loading = &server.loading[0];
    assert_eq!(loading["loaded_bytes"], 0, "{loading}");
    assert!(loading["total_bytes"].as_u64() > Some(0), "{loading}");
    let ready = &server.ready;
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ready["context_length"], 1_000_000);
    assert_eq!(ready["capabilities"]["chat"], true, "{ready}");
    let plan = &ready["plan"];
    let parts = ["weights_bytes", "kv_pool_bytes", "scratch_bytes"];
    let sum: u64 = parts.iter().map(|part| plan[part].as_u64().unwrap()).sum();
    assert_eq!(plan["total_bytes"], sum, "{plan}");
    server.signal(libc::SIGTERM);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn json_reports_why_the_server_did_not_start() {
    let env = env();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let damaged = env.local_model("damaged", &Checkpoint::endless());
    std::fs::write(damaged.join("model.safetensors"), "x").unwrap();
    for (arguments, code, message) in [
        (
            ["--model", "absent", "--port", "0"],
            "model_not_found",
            "absent",
        ),
        (
            ["--model", "tiny", "--port", &port],
            "cannot_listen",
            "cannot listen on",
        ),
        (
            ["--model", "damaged", "--port", "0"],
            "corrupt_weights",
            "damaged or incomplete",
        ),
        (
            ["--model", "tiny", "--memory", "1MB"],
            "does_not_fit",
            "but the limit is",
        ),
        (
            ["--model", "tiny", "--host", "0.0.0.0"],
            "invalid_option",
            "an API key is required",
        ),
    ] {
        let outcome = env.run(&[["serve", "--json"].as_slice(), &arguments].concat());
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        let (_, failed) = read_startup(&mut outcome.stdout.as_bytes());
        assert_eq!(failed["event"], "failed");
        assert_eq!(failed["code"], code, "{failed}");
        let text = failed["message"].as_str().unwrap();
        assert!(text.contains(message), "{failed}");
        assert_ne!(failed["advice"], "", "{failed}");
        assert!(outcome.stderr.contains("error: "), "{outcome:#?}");
    }
}

#[test]
fn models_are_listed_by_name_and_accepted_by_path() {
    let env = env();
    let path = env.models().join("tiny").display().to_string();
    let mut command = env.command(&["serve", "--model", &path, "--alias", "small"]);
    let server = Server::start(command.args(&ARGUMENTS[3..]));
    assert_eq!(server.ready["model"], "tiny");
    let mut connection = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    connection
        .write_all(b"GET /v1/models HTTP/1.0\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    let body = response.split_once("\r\n\r\n").unwrap().1;
    let list: Value = serde_json::from_str(body).unwrap();
    let names: Vec<(&Value, &Value)> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (&model["id"], &model["root"]))
        .collect();
    let (tiny, small) = (json!("tiny"), json!("small"));
    assert_eq!(names, [(&tiny, &tiny), (&small, &tiny)]);
    assert!(!response.contains(&path), "{response}");

    let options = ["--max-tokens", "3", "--temp", "0", "--json"];
    for arguments in [["Hi"].as_slice(), &["small", "Hi"], &[path.as_str(), "Hi"]] {
        let url = ["run", "--url", server.url()];
        let outcome = env.run(&[&url, arguments, options.as_slice()].concat());
        assert_eq!(outcome.json()["generated_tokens"], 3, "{arguments:?}");
    }
    let other = env.run(&["run", "--url", server.url(), "other", "Hi"]);
    other.failure(&["404", "tiny"]);
    // A name alone is the model, not the prompt.
    let alone = env.run(&["run", "--url", server.url(), "small"]);
    alone.failure_with(2, &["no prompt"]);
    server.signal(libc::SIGTERM);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn shutdown_waits_for_requests_until_the_timeout_or_a_second_signal() {
    let env = env();
    let server = serve(&env, &["--shutdown-timeout", "0"]);
    let stream = server.start_endless_completion();
    server.signal(libc::SIGINT);
    let outcome = server.end();
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(
        outcome.stderr.contains("running requests were cancelled"),
        "{outcome:#?}"
    );
    drop(stream);

    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130)] {
        let server = serve(&env, &["--shutdown-timeout", "1000"]);
        let stream = server.start_endless_completion();
        server.signal(signal);
        // The server has handled the first signal when its state is draining.
        loop {
            let mut other = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
            other.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
            let mut text = String::new();
            other.read_to_string(&mut text).unwrap();
            if text.contains("draining") {
                break;
            }
        }
        server.signal(signal);
        assert_eq!(server.end().code, Some(code));
        drop(stream);
    }
}

#[test]
fn exit_with_parent_exits_when_the_parent_exits() {
    let env = env();
    let mut shell = Command::new("sh");
    env.environment(&mut shell);
    let program = assert_cmd::cargo::cargo_bin!("mlxm").display().to_string();
    let script = format!(
        "{program} {} --exit-with-parent & read line",
        ARGUMENTS.join(" ")
    );
    shell.args(["-c", &script]).stdin(Stdio::piped());
    let mut server = Server::start(&mut shell);
    drop(server.child.stdin.take());
    let mut rest = String::new();
    // The pipe closes when the last process that holds it exits.
    server.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

/// Sends a request of the owner and returns the response.
fn post_as_owner(server: &Server, path: &str, body: &Value) -> String {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// A process that runs until its input closes.
fn owner() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn end(mut owner: Child) {
    drop(owner.stdin.take());
    owner.wait().unwrap();
}

#[test]
fn server_with_an_owner_exits_after_the_grace_unless_another_process_takes_over() {
    let env = env();
    let (first, second) = (owner(), owner());
    let pid = first.id().to_string();
    let more = ["--owner", &pid, "--orphan-grace", "3", "--api-key", "key"];
    let server = serve(&env, &more);
    end(first);
    let start = Instant::now();
    let response = post_as_owner(&server, "/internal/owner", &json!({"pid": second.id()}));
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    std::thread::sleep(Duration::from_secs(4).saturating_sub(start.elapsed()));
    let response = post_as_owner(&server, "/internal/threads", &json!({"threads": 1}));
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let start = Instant::now();
    end(second);
    assert_eq!(server.end().code, Some(0));
    assert!(start.elapsed() >= Duration::from_secs(3));
}

#[test]
fn server_exits_with_its_owner_without_a_grace() {
    let env = env();
    let process = owner();
    let server = serve(&env, &["--owner", &process.id().to_string()]);
    // Without a key, no request can prove to be the owner's.
    let response = post_as_owner(&server, "/internal/threads", &json!({"threads": 1}));
    assert!(response.starts_with("HTTP/1.1 404"), "{response}");
    end(process);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn invalid_options_are_rejected() {
    let env = env();
    let run = |more: &[&str]| Outcome::of(env.command(&ARGUMENTS).args(more));
    let open = run(&["--host", "0.0.0.0"]);
    assert_eq!(open.code, Some(1), "{open:#?}");
    assert!(open.stderr.contains("an API key is required"), "{open:#?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let busy = env.run(&["serve", "--model", "tiny", "--port", &port]);
    assert_eq!(busy.code, Some(1), "{busy:#?}");
    assert!(busy.stderr.contains("choose another --port"), "{busy:#?}");
    let absent = env.run(&["serve", "--model", "absent"]);
    assert_eq!(absent.code, Some(1), "{absent:#?}");
    assert_eq!(run(&["--max-batch-tokens", "0"]).code, Some(2));
    assert_eq!(run(&["--orphan-grace", "5"]).code, Some(2));
    let two = run(&["--owner", "1", "--exit-with-parent"]);
    assert_eq!(two.code, Some(2), "{two:#?}");
    assert_eq!(run(&["--tool-call-parser", "nonsense"]).code, Some(2));
}

#[test]
fn options_of_one_model_are_rejected_without_a_model() {
    let env = env();
    for (option, instead) in [
        (["--context-length", "4096"], "mlxm profile"),
        (["--kv-cache-dtype", "int8"], "mlxm profile"),
        (["--alias", "x"], "mlxm alias"),
        (["--max-body", "1MB"], "--model"),
        (["--owner", "1"], "no owner"),
    ] {
        let outcome = env.run(&[["serve"].as_slice(), &option].concat());
        outcome.failure_with(2, &[option[0], instead]);
    }
    for option in ["--keep-workers", "--no-open"] {
        let outcome = env.run(&["serve", "--model", "tiny", option]);
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
    }
}
