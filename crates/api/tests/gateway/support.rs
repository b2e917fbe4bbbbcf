//! A running gateway, and a pool with one worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use mlxm_api::gateway::proxy::{
    AcquireError, Catalog, Class, Lease, LiveRequests, LocalModel, Proxy, ProxyOptions,
    RequestRecord, Target, WorkerId, Workers, router,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::wait::wait_for;
use crate::worker::TestWorker;

/// The model of the test catalog.
pub const MODEL: &str = "org/model-4bit";

/// A pool whose worker is ready after a while.
#[derive(Clone)]
pub struct OneWorker {
    address: SocketAddr,
    delay: Duration,
    error: Option<AcquireError>,
    /// Leases that are not returned yet.
    pub leases: Arc<AtomicUsize>,
    /// Requests that wait for a worker.
    pub waiting: Arc<AtomicUsize>,
    /// What was acquired.
    pub targets: mpsc::UnboundedSender<(Target, Class)>,
}

/// Counts until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl OneWorker {
    fn lease(&self) -> Lease {
        let worker = WorkerId::from("worker-1");
        let key = "worker-key".to_owned();
        Lease::new(worker, self.address, key, Counted::new(&self.leases))
    }
}

impl Workers for OneWorker {
    fn acquire<'a>(
        &'a self,
        target: &'a Target,
        class: Class,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        Box::pin(async move {
            let waiting = Counted::new(&self.waiting);
            tokio::time::sleep(self.delay).await;
            drop(waiting);
            // Most tests do not look at it.
            let _ = self.targets.send((target.clone(), class));
            self.error.clone().map_or_else(|| Ok(self.lease()), Err)
        })
    }

    fn running<'a>(&'a self, worker: &'a WorkerId) -> BoxFuture<'a, Option<Lease>> {
        Box::pin(async move { (**worker == *"worker-1").then(|| self.lease()) })
    }
}

/// A running gateway.
pub struct TestGateway {
    pub url: String,
    pub pool: OneWorker,
    pub targets: mpsc::UnboundedReceiver<(Target, Class)>,
    pub client: reqwest::Client,
    /// Those that have not ended.
    pub requests: LiveRequests,
    records: mpsc::Receiver<RequestRecord>,
    // Keeps the channel open.
    _catalog: watch::Sender<Arc<Catalog>>,
}

/// How a gateway is started.
pub struct Setup {
    pub options: ProxyOptions,
    pub catalog: Catalog,
    pub delay: Duration,
    pub error: Option<AcquireError>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: ProxyOptions::default(),
            catalog: catalog(&[MODEL]),
            delay: Duration::ZERO,
            error: None,
        }
    }
}

/// A catalog with these models.
pub fn catalog(ids: &[&str]) -> Catalog {
    let models = ids.iter().map(|id| LocalModel {
        id: (*id).to_owned(),
        ..LocalModel::default()
    });
    Catalog {
        models: models.collect(),
        ..Catalog::default()
    }
}

impl Setup {
    /// Starts a gateway in front of the worker at `address`.
    pub async fn start_at(self, address: SocketAddr) -> TestGateway {
        let (targets, received_targets) = mpsc::unbounded_channel();
        let pool = OneWorker {
            address,
            delay: self.delay,
            error: self.error,
            leases: Arc::default(),
            waiting: Arc::default(),
            targets,
        };
        let (audit, records) = mpsc::channel(100);
        let (catalog, receiver) = watch::channel(Arc::new(self.catalog));
        let requests = LiveRequests::default();
        let workers = Arc::new(pool.clone());
        let proxy = Proxy::new(self.options, receiver, workers, audit, requests.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = router(proxy).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        TestGateway {
            url,
            pool,
            targets: received_targets,
            client: reqwest::Client::new(),
            requests,
            records,
            _catalog: catalog,
        }
    }

    pub async fn start(self, worker: &TestWorker) -> TestGateway {
        self.start_at(worker.address).await
    }
}

impl TestGateway {
    /// A POST request to a route.
    pub fn post(&self, route: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{route}", self.url)).body(body)
    }

    /// Status and body of the response to a POST request.
    pub async fn text(&self, route: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let response = self.post(route, body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Status and JSON body of the response to a GET request.
    pub async fn get(&self, route: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{route}", self.url)).send();
        let response = response.await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The record of the next request that has ended; by then its lease has been returned.
    pub async fn record(&mut self) -> RequestRecord {
        let record = tokio::time::timeout(Duration::from_secs(10), self.records.recv());
        let record = record.await.unwrap().unwrap();
        wait_until(|| self.pool.leases.load(Ordering::SeqCst) == 0).await;
        record
    }
}

/// Waits for a condition.
pub async fn wait_until(condition: impl Fn() -> bool) {
    wait_for(async || condition().then_some(())).await;
}

/// A request for the test model.
pub fn request(stream: bool) -> String {
    json!({"messages": [], "model": MODEL, "stream": stream}).to_string()
}
