//! Access to the gateway's database without a gateway.

use std::path::PathBuf;

use anyhow::Context as _;
use mlxm_store::{Location, StoreError};

use crate::context;

/// The database of the gateway, and the directory of its other files.
pub struct Database {
    /// Where it is.
    pub location: Location,
    /// The data directory.
    pub home: PathBuf,
}

impl Database {
    /// The database that a gateway with this environment has.
    pub fn from_environment() -> anyhow::Result<Self> {
        let home = context::require_home()?;
        let url = std::env::var("DATABASE_URL").ok();
        Ok(Self {
            location: Location::new(url.as_deref(), &home)?,
            home,
        })
    }
}

/// Runs an operation on the database.
pub fn block_on<T>(operation: impl Future<Output = Result<T, StoreError>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok(runtime.block_on(operation)?)
}
