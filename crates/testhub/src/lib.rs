//! A model hub for tests: the protocol of the real one over HTTP on this machine, a storage host
//! on another port for large files, and faults on demand.
//!
//! ```
//! use mlxm_testhub::{Fault, TestHub, TestRepo};
//!
//! let hub = TestHub::start();
//! hub.add(TestRepo::new("org/name").file("config.json", "{}").large_file("model.safetensors", vec![7; 4096]));
//! hub.inject("org/name", "model.safetensors", Fault::DropAfter(1024));
//! assert!(hub.endpoint().starts_with("http://127.0.0.1:"));
//! ```
//!
//! It runs on threads of its own until dropped, so tests with and without a runtime can use it.
//! It is never part of a released program.

mod content;
mod repo;
mod routes;

use std::collections::{HashMap, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use repo::StoredRepo;
pub use repo::TestRepo;

/// What goes wrong with one request. Faults of a file are used up in order, one per request that
/// they can strike.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection closes after this many bytes of the body.
    DropAfter(usize),
    /// Nothing comes after this many bytes of the body, and the connection stays open.
    StallAfter(usize),
    /// The body has the right length and wrong bytes.
    Corrupt,
    /// The whole file comes, whatever range was asked for.
    IgnoreRange,
    /// The content becomes this before it is served.
    Replace(Vec<u8>),
    /// The place that serves the bytes answers with this status instead.
    Status(u16),
    /// The hub answers with this status and `Retry-After` instead of active_responses or redirecting.
    HubStatus(u16, Option<&'static str>),
}

/// A request that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Whether the storage host got it rather than the hub.
    pub at_storage: bool,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The greatest number of answers with file content under way when this one began, itself
    /// included.
    pub concurrent: usize,
}

/// A running hub.
#[derive(Debug)]
pub struct TestHub {
    state: Arc<State>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
pub(crate) struct State {
    endpoint: String,
    storage: String,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    repos: Vec<StoredRepo>,
    tokens: Vec<String>,
    faults: HashMap<(String, String), VecDeque<Fault>>,
    api_errors: VecDeque<(u16, Option<&'static str>)>,
    received: Vec<ReceivedRequest>,
    page_size: Option<usize>,
    throttle: Option<(usize, Duration)>,
    ignore_ranges: bool,
    active_responses: usize,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestHub {
    /// Starts a hub with no models.
    ///
    /// # Panics
    /// When the system gives no port or thread.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the test hub");
        // Bound without the runtime, so that a test may itself be running in one.
        let bind = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the test hub");
            listener
                .set_nonblocking(true)
                .expect("a listener for a runtime");
            listener
        };
        let (hub, storage) = (bind(), bind());
        let address = |listener: &TcpListener| {
            format!(
                "http://{}",
                listener.local_addr().expect("the address of a bound port")
            )
        };
        let state = Arc::new(State {
            endpoint: address(&hub),
            storage: address(&storage),
            inner: Mutex::new(Inner::default()),
        });
        for (listener, routes) in [
            (hub, routes::hub_routes(Arc::clone(&state))),
            (storage, routes::storage_routes(Arc::clone(&state))),
        ] {
            runtime.spawn(async move {
                axum::serve(tokio::net::TcpListener::from_std(listener)?, routes).await
            });
        }
        Self {
            state,
            runtime: Some(runtime),
        }
    }

    /// The address for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.state.endpoint
    }

    /// Adds a model, or a new commit of one that is there; returns the commit.
    pub fn add(&self, repo: TestRepo) -> String {
        let mut inner = self.state.lock();
        let commit = repo.commit();
        match inner
            .repos
            .iter_mut()
            .find(|stored| stored.latest.id == repo.id)
        {
            Some(stored) => stored.update(repo),
            None => inner.repos.push(StoredRepo::new(repo)),
        }
        commit
    }

    /// Accepts only these tokens; before that, every token is good.
    pub fn accept_tokens(&self, tokens: &[&str]) {
        self.state.lock().tokens = tokens.iter().map(|&token| token.to_owned()).collect();
    }

    /// Lets something go wrong with the next request for a file's content.
    pub fn inject(&self, repo: &str, file: &str, fault: Fault) {
        self.state
            .lock()
            .faults
            .entry((repo.to_owned(), file.to_owned()))
            .or_default()
            .push_back(fault);
    }

    /// Answers the next question about models (search, description, listing) with this status.
    pub fn fail_next_api_request(&self, status: u16, retry_after: Option<&'static str>) {
        self.state
            .lock()
            .api_errors
            .push_back((status, retry_after));
    }

    /// Splits lists into pages of this many entries.
    pub fn page_size(&self, entries: usize) {
        self.state.lock().page_size = Some(entries);
    }

    /// Sends file content in pieces of `bytes` with a pause before each.
    pub fn throttle(&self, bytes: usize, pause: Duration) {
        self.state.lock().throttle = Some((bytes, pause));
    }

    /// Ends [`TestHub::throttle`].
    pub fn unthrottle(&self) {
        self.state.lock().throttle = None;
    }

    /// From now on every file comes whole, whatever range is asked for.
    pub fn ignore_ranges(&self) {
        self.state.lock().ignore_ranges = true;
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.state.lock().received.clone()
    }

    /// The requests so far for the content of a file whose path ends in `file`, at whichever host
    /// serves its bytes.
    pub fn content_requests(&self, file: &str) -> Vec<ReceivedRequest> {
        let is_content =
            |request: &ReceivedRequest| request.method == "GET" && request.path.ends_with(file);
        self.received()
            .into_iter()
            .filter(|request| is_content(request) && request.status != 302)
            .collect()
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Stalled answers never end by themselves.
            runtime.shutdown_background();
        }
    }
}
