//! Stores for tests.

pub mod postgres;

use mlxm_store::gateways::{self, Gateway, NewGateway};
use mlxm_store::{Location, OpenOptions, Store, StoreError};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Runs a test's future on a runtime of its own.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A directory that is used as `$MLXM_HOME`.
pub fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The SQLite file of a home.
pub fn database(home: &Path) -> PathBuf {
    home.join("mlxm.db")
}

/// The SQLite location of a home.
pub fn location(home: &Path) -> Location {
    Location::new(None, home).unwrap()
}

/// Opens the SQLite database of a home.
pub async fn open(home: &Path) -> Result<Store, StoreError> {
    Store::open(&OpenOptions::new(location(home), home)).await
}

/// A registered gateway.
pub async fn gateway(store: &Store) -> Gateway {
    let new = NewGateway {
        id: None,
        host: "host".to_owned(),
        address: "http://127.0.0.1:8080".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4711,
    };
    gateways::register(store, new).await.unwrap()
}
