//! A test double of the Hugging Face Hub: the HTTP API, a storage host on another port for large files, and fault
//! injection.
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
//! It runs on its own threads until dropped, so it works in tests with and without an async runtime.

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

/// A path below which a hub serves its content in spite of [`TestHub::redirect`].
pub const MOVED: &str = "/moved";

/// A fault of one request. The faults of a file are applied in order, one per matching request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection closes after this many bytes of the body.
    DropAfter(usize),
    /// The connection stalls after this many bytes of the body.
    StallAfter(usize),
    /// The body has the correct length but wrong content.
    Corrupt,
    /// The whole file is sent regardless of the requested range.
    IgnoreRange,
    /// The content is replaced before it is served.
    Replace(Vec<u8>),
    /// The host that serves the content returns this status.
    Status(u16),
    /// The hub returns this status and `Retry-After` instead of serving the file or redirecting.
    HubStatus(u16, Option<&'static str>),
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Whether the storage host received it rather than the hub.
    pub at_storage: bool,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// Response status.
    pub status: u16,
    /// Number of file content responses in progress when this response started, including itself.
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
    redirect: Option<(u16, String)>,
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
    /// If no port or thread is available.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the tests require the server")]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the test hub");
        // Bound outside the runtime, because the test may already run in one.
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

    /// The URL for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.state.endpoint
    }

    /// Adds a model, or a new commit of an existing model. Returns the commit hash.
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

    /// Accepts only these tokens. By default all tokens are accepted.
    pub fn accept_tokens(&self, tokens: &[&str]) {
        self.state.lock().tokens = tokens.iter().map(|&token| token.to_owned()).collect();
    }

    /// Queues a fault for the content of a file.
    pub fn inject(&self, repo: &str, file: &str, fault: Fault) {
        self.state
            .lock()
            .faults
            .entry((repo.to_owned(), file.to_owned()))
            .or_default()
            .push_back(fault);
    }

    /// Queues an error status for the next API request (search, model info, file listing).
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

    /// Sends file content in chunks of `bytes` with a pause before each.
    pub fn throttle(&self, bytes: usize, pause: Duration) {
        self.state.lock().throttle = Some((bytes, pause));
    }

    /// Ends [`TestHub::throttle`].
    pub fn unthrottle(&self) {
        self.state.lock().throttle = None;
    }

    /// Ignores `Range` headers from now on.
    pub fn ignore_ranges(&self) {
        self.state.lock().ignore_ranges = true;
    }

    /// Redirects every request with `status` to the same path below `base`: the endpoint of another hub, or [`MOVED`], below
    /// which this hub serves its content at once.
    pub fn redirect(&self, status: u16, base: &str) {
        self.state.lock().redirect = Some((status, base.to_owned()));
    }

    /// All requests received so far.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.state.lock().received.clone()
    }

    /// The requests received so far for the content of files whose path ends in `file`, on either host.
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
            // Stalled responses never complete.
            runtime.shutdown_background();
        }
    }
}
