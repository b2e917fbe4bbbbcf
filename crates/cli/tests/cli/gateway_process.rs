//! A running gateway, and a client for it on plain sockets.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mlxm_gateway::ProcessIdentity;
use mlxm_store::requests::{self, Request, RequestFilter};
use mlxm_store::{Location, OpenOptions, Store};
use serde_json::{Value, json};

use crate::serve::read_startup;
use crate::support::{Outcome, TestEnv};

/// Far longer than any step; only reached if the gateway hangs.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The home directory of the gateway.
pub fn home(env: &TestEnv) -> PathBuf {
    env.path().join("mlxm")
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    pub ready: Value,
    log: PathBuf,
}

impl Gateway {
    /// Starts a gateway on a free port.
    pub fn start(env: &TestEnv, more: &[&str]) -> Self {
        Self::start_with(env, more, &[])
    }

    /// As [`Self::start`], with environment variables.
    pub fn start_with(env: &TestEnv, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let log = env.path().join("gateway.log");
        let errors = File::options().create(true).append(true).open(&log);
        let mut command = env.command(&["serve", "--port", "0", "--json"]);
        command
            .args(more)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(errors.unwrap());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (_, ready) = read_startup(&mut BufReader::new(stdout));
        let gateway = Self { child, ready, log };
        assert_eq!(gateway.ready["event"], "ready", "{}", gateway.log());
        gateway
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    pub fn address(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    /// What the gateway has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn signal(&self, signal: i32) {
        kill(self.child.id(), signal);
    }

    /// Waits for its exit.
    pub fn end(mut self) -> Outcome {
        let status = self.child.wait().unwrap();
        Outcome {
            code: status.code(),
            stdout: String::new(),
            stderr: self.log(),
        }
    }

    /// Stops it, and waits for its exit.
    #[track_caller]
    pub fn stop(self) {
        self.signal(libc::SIGTERM);
        let outcome = self.end();
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        Client::new(self.address()).get(path)
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        Client::new(self.address()).post(path, body)
    }

    /// Asks a model for a chat completion of three tokens.
    pub fn chat(&self, model: &str) -> (u16, Value) {
        self.post("/v1/chat/completions", &chat(model, 3))
    }

    /// Starts a stream that does not end, and waits for its first event.
    pub fn endless(&self, model: &str) -> EventStream {
        let mut body = chat(model, 1);
        body["max_tokens"] = Value::Null;
        body["stream"] = true.into();
        body["ignore_eos"] = true.into();
        let mut stream = EventStream::open(self.address(), &body);
        stream.next_event().unwrap();
        stream
    }

    /// The running servers.
    pub fn servers(&self) -> Vec<Value> {
        let (status, list) = self.get("/api/servers");
        assert_eq!(status, 200, "{list}");
        list["servers"].as_array().unwrap().clone()
    }

    /// The process id of the only running server.
    #[track_caller]
    pub fn worker(&self) -> u32 {
        let servers = self.servers();
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers[0]["pid"].as_u64().unwrap() as u32
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Its workers exit, too.
            kill(self.child.id(), libc::SIGTERM);
            let deadline = Instant::now() + TIMEOUT;
            while self.child.try_wait().is_ok_and(|status| status.is_none()) {
                if Instant::now() > deadline {
                    let _ = self.child.kill();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Sends a signal to a process that a test has started.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: sends a signal to a process of this test.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

/// Whether there is such a process. One that only its parent has not waited for has exited, too.
pub fn is_running(pid: u32) -> bool {
    ProcessIdentity::read(pid).is_some()
}

/// Waits for a condition.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A chat completion of at most this many tokens.
pub fn chat(model: &str, max_tokens: u32) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": max_tokens,
        "temperature": 0,
    })
}

/// Sends one request per connection.
pub struct Client<'a> {
    address: &'a str,
    headers: String,
}

impl<'a> Client<'a> {
    pub fn new(address: &'a str) -> Self {
        Self {
            address,
            headers: String::new(),
        }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.text("GET", path, "");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.text("POST", path, &body.to_string());
        let json = serde_json::from_str(&text);
        (
            status,
            json.unwrap_or_else(|error| panic!("{error}: {text}")),
        )
    }

    /// Status and body.
    pub fn text(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = send(self.address, method, path, &self.headers, body);
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

/// Sends a request of HTTP 1.0, whose response ends with the connection.
fn send(address: &str, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// A stream of events. Dropping it disconnects.
pub struct EventStream(BufReader<TcpStream>);

impl EventStream {
    /// Sends a request for a chat completion, and waits for the head of its response.
    pub fn open(address: &str, body: &Value) -> Self {
        Self::read(send(
            address,
            "POST",
            "/v1/chat/completions",
            "",
            &body.to_string(),
        ))
    }

    /// Opens the stream of events at a path, and waits for the head of the response.
    pub fn get(address: &str, path: &str) -> Self {
        Self::read(send(address, "GET", path, "", ""))
    }

    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self(reader)
    }

    /// The data of the next event as JSON, or as a string if it is none; `None` at the end of the stream.
    pub fn next_event(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            // A connection that was cut ends the stream, too.
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let data = data.trim_end();
                return Some(serde_json::from_str(data).unwrap_or_else(|_| data.into()));
            }
        }
    }

    /// All further events.
    pub fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_event()).collect()
    }
}

/// The database of a gateway that has exited.
pub fn with_store<T>(env: &TestEnv, read: impl AsyncFnOnce(&Store) -> T) -> T {
    let home = home(env);
    let options = OpenOptions::new(Location::new(None, &home).unwrap(), &home);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let store = Store::open(&options).await.unwrap();
        let result = read(&store).await;
        store.close().await;
        result
    })
}

/// The rows of the audit log of a gateway that has exited, oldest first.
pub fn audit_rows(env: &TestEnv) -> Vec<Request> {
    let mut rows = with_store(env, async |store| {
        requests::list(store, &RequestFilter::default())
            .await
            .unwrap()
    });
    rows.reverse();
    rows
}
