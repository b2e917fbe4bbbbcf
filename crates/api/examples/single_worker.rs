//! Runs the gateway's proxy in front of one worker that is already running. `cargo xtask bench gateway` measures it.
//!
//! ```sh
//! mlxm serve --model org/model --port 8081
//! cargo run --release --package mlxm-api --example single_worker -- 127.0.0.1:8081 127.0.0.1:8080 org/model
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_core::future::BoxFuture;
use mlxm_api::gateway::proxy::{
    AcquireError, Catalog, Class, Lease, LocalModel, Proxy, ProxyOptions, Target, WorkerId,
    Workers, router,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// A worker without a key and without a limit.
struct SingleWorker(SocketAddr);

impl SingleWorker {
    fn lease(&self) -> Lease {
        Lease::new(WorkerId::from("worker"), self.0, "none".to_owned(), ())
    }
}

impl Workers for SingleWorker {
    fn acquire<'a>(
        &'a self,
        _target: &'a Target,
        _class: Class,
        _deadline: Instant,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        Box::pin(async move { Ok(self.lease()) })
    }

    fn running<'a>(&'a self, _worker: &'a WorkerId) -> BoxFuture<'a, Option<Lease>> {
        Box::pin(async move { Some(self.lease()) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: single_worker WORKER_ADDRESS ADDRESS MODEL")
    };
    let worker: SocketAddr = next()?.parse()?;
    let address: SocketAddr = next()?.parse()?;
    let catalog = Catalog {
        models: vec![LocalModel {
            id: next()?,
            loaded: true,
            ..LocalModel::default()
        }],
        ..Catalog::default()
    };
    let (_catalog, receiver) = watch::channel(Arc::new(catalog));
    let (audit, mut records) = mpsc::channel(1024);
    tokio::spawn(async move { while records.recv().await.is_some() {} });
    let workers = Arc::new(SingleWorker(worker));
    let proxy = Proxy::new(ProxyOptions::default(), receiver, workers, audit);
    let listener = TcpListener::bind(address).await?;
    let service = router(proxy).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}
