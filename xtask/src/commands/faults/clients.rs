//! Many clients of a gateway at once, each with one request after the other.

use super::api::PROFILES;
use super::stream::{Protocol, Stream, StreamEnd, Tokens};
use crate::http::{self, Event, Response};
use crate::interrupt;
use anyhow::{Result, bail};
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// Most tokens of a completion.
pub const MAX_TOKENS: u64 = 16;

/// Longer than a gateway is silent: it sends a comment every 10 seconds.
const READ_TIMEOUT: Duration = Duration::from_mins(3);

/// Clients disconnect at the earliest after this time, when the gateway has certainly read their request: one that has never
/// arrived has no audit row.
const MIN_DISCONNECT_MS: u64 = 2000;
const MAX_DISCONNECT_MS: u64 = 5000;

/// Pause of a client that cannot connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What the clients do.
const RUNNING: u8 = 0;
/// Each ends after its current request.
const FINISHING: u8 = 1;
/// Each disconnects at the next event.
const ABORTED: u8 = 2;

/// Clients that send requests for [`PROFILES`] in turn, with all APIs.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// `HOST:PORT` of the gateway.
    pub address: &'a str,
    pub count: usize,
    /// The requests are determined by it.
    pub seed: u64,
    /// Share of requests whose client disconnects.
    pub disconnects: f64,
}

/// A request that has ended, as its client saw it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its `x-request-id`.
    pub id: String,
    pub profile: &'static str,
    pub end: End,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Complete(Tokens),
    /// The client disconnected.
    Disconnected,
    /// With an error event.
    Failed(String),
    /// With an error status and body.
    Rejected(u16, String),
    /// The connection ended before the response did.
    Cut(String),
    /// There was no connection.
    NotSent(String),
}

/// When a client disconnects, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disconnect {
    Never,
    /// Without reading the response.
    After(Duration),
    AfterEvents(usize),
}

struct Request {
    id: String,
    profile: &'static str,
    protocol: Protocol,
    prompt: String,
    max_tokens: u64,
    disconnect: Disconnect,
}

impl Clients<'_> {
    /// Lets the clients send requests until `watch` returns, and waits for the end of the last ones.
    pub fn run<T>(&self, watch: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Sent>)> {
        let state = AtomicU8::new(RUNNING);
        thread::scope(|scope| {
            let state = &state;
            let threads: Vec<_> = (0..self.count)
                .map(|client| scope.spawn(move || self.client(client, state)))
                .collect();
            let watched = watch();
            let next = if watched.is_ok() { FINISHING } else { ABORTED };
            state.store(next, Ordering::SeqCst);
            let mut sent = Vec::new();
            for thread in threads {
                match thread.join() {
                    Ok(of_client) => sent.extend(of_client),
                    Err(_) => bail!("a client thread panicked"),
                }
            }
            interrupt::check()?;
            Ok((watched?, sent))
        })
    }

    fn client(&self, client: usize, state: &AtomicU8) -> Vec<Sent> {
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_add(client as u64));
        let is_aborted = || state.load(Ordering::SeqCst) == ABORTED || interrupt::check().is_err();
        let mut sent = Vec::new();
        while state.load(Ordering::SeqCst) == RUNNING && !is_aborted() {
            let id = format!("{}-{client}-{}", self.seed, sent.len());
            let request = Request::random(id, client, self.disconnects, &mut random);
            let end = request.send(self.address, &is_aborted);
            if matches!(end, End::NotSent(_)) {
                thread::sleep(RECONNECT_PAUSE);
            }
            sent.push(Sent {
                id: request.id,
                profile: request.profile,
                end,
            });
        }
        sent
    }
}

impl Request {
    fn random(id: String, client: usize, disconnects: f64, random: &mut fastrand::Rng) -> Self {
        let disconnect = if random.f64() >= disconnects {
            Disconnect::Never
        } else if random.bool() {
            let milliseconds = random.u64(MIN_DISCONNECT_MS..=MAX_DISCONNECT_MS);
            Disconnect::After(Duration::from_millis(milliseconds))
        } else {
            Disconnect::AfterEvents(random.usize(1..=4))
        };
        Self {
            profile: PROFILES[client % PROFILES.len()],
            protocol: Protocol::ALL[random.usize(..Protocol::ALL.len())],
            prompt: format!("Tell me something about the number {}.", random.u32(..)),
            max_tokens: random.u64(4..=MAX_TOKENS),
            disconnect,
            id,
        }
    }

    fn send(&self, address: &str, is_aborted: &dyn Fn() -> bool) -> End {
        let body = self
            .protocol
            .body(self.profile, &self.prompt, self.max_tokens)
            .to_string();
        let headers = [("x-request-id", self.id.as_str())];
        let connection = http::begin(address, self.protocol.path(), &headers, Some(&body));
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => return End::NotSent(error.to_string()),
        };
        if let Disconnect::After(time) = self.disconnect {
            thread::sleep(time);
            return End::Disconnected;
        }
        self.receive(connection, is_aborted)
            .unwrap_or_else(|error| End::Cut(error.to_string()))
    }

    fn receive(&self, connection: TcpStream, is_aborted: &dyn Fn() -> bool) -> io::Result<End> {
        connection.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut response = Response::read(connection)?;
        if !response.is_success() {
            let mut body = String::new();
            response.body.read_to_string(&mut body)?;
            return Ok(End::Rejected(response.status, body));
        }
        let mut stream = Stream::new(self.protocol);
        let mut events = response.events();
        let mut count = 0;
        while let Some(event) = events.next_event()? {
            if let Event::Data(data) = event {
                stream.push(data)?;
                count += 1;
            }
            if self.disconnect == Disconnect::AfterEvents(count) || is_aborted() {
                return Ok(End::Disconnected);
            }
        }
        Ok(match stream.end() {
            StreamEnd::Complete(tokens) => End::Complete(tokens),
            StreamEnd::Failed(error) => End::Failed(error),
            StreamEnd::Cut(reason) => End::Cut(reason.to_owned()),
        })
    }
}

impl End {
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete(_))
    }

    /// Whether the error says that the worker of the request exited, in its protocol's format.
    pub fn is_worker_exit(&self) -> bool {
        match self {
            Self::Failed(error) => error.contains("exited"),
            Self::Rejected(status, body) => matches!(status, 502 | 503) && body.contains("exited"),
            _ => false,
        }
    }
}

/// Returns an error that shows some of the requests for which `accept` is false.
pub fn expect(sent: &[Sent], what: &str, accept: impl Fn(&Sent) -> bool) -> Result<()> {
    const SHOWN: usize = 5;
    let wrong: Vec<&Sent> = sent.iter().filter(|sent| !accept(sent)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} of {} requests {what}:", wrong.len(), sent.len());
    for one in wrong.iter().take(SHOWN) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{} for `{}`: {:?}", one.id, one.profile, one.end);
    }
    bail!("{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_determined_by_the_seed_and_some_disconnect() {
        let requests = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let request = |_| Request::random(String::new(), 0, 0.5, &mut random);
            let requests: Vec<Request> = (0..200).map(request).collect();
            let described = requests.into_iter().map(|one| (one.prompt, one.disconnect));
            described.collect::<Vec<_>>()
        };
        assert_eq!(requests(1), requests(1));
        assert_ne!(requests(1), requests(2));
        let stays = |(_, disconnect): &&(String, Disconnect)| *disconnect == Disconnect::Never;
        let staying = requests(1).iter().filter(stays).count();
        assert!((70..130).contains(&staying), "{staying}");
    }

    #[test]
    fn exit_of_a_worker_is_recognized_in_events_and_bodies() {
        let text = || "the model's worker exited during this request".to_owned();
        assert!(End::Failed(text()).is_worker_exit());
        assert!(End::Rejected(502, text()).is_worker_exit());
        assert!(!End::Rejected(400, text()).is_worker_exit());
        assert!(!End::Cut(text()).is_worker_exit());
    }
}
