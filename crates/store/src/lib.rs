//! The gateway's database: SQLite in one file, or Postgres.
//!
//! [`Store::open`] connects, takes the lock and migrates. Queries are functions of one module per noun ([`profiles`],
//! [`servers`], [`requests`], …) that take a [`Store`] and plain structs.
//!
//! ```no_run
//! # async fn example() -> Result<(), mlxm_store::StoreError> {
//! use mlxm_store::{Location, OpenOptions, Store, profiles};
//!
//! let location = Location::new(None, "mlxm-home".as_ref())?;
//! let store = Store::open(&OpenOptions::new(location, "mlxm-home".as_ref())).await?;
//! for profile in profiles::list(&store).await? {
//!     println!("{}: {}", profile.config.name, profile.config.model);
//! }
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//! - A function that returns without an error has committed, and on SQLite has synced its rows to the disk.
//! - SQLite has one write connection, which begins every transaction with `BEGIN IMMEDIATE`, and four read-only ones.
//! - One gateway at a time has a SQLite database open ([`Store::open`] names the other one); a Postgres database is shared.
//! - Migrations go forward only. A database that a newer version wrote is left unchanged.
//! - Ids are UUIDv7, times are milliseconds since the Unix epoch (UTC).
//! - Secrets are stored encrypted; the key is a file outside the database.
//! - Types of the database library do not appear in the public API.
//! - Rows of a user are found with the user's id only. There is one user until there are accounts: [`OWNER`].
//! - Prompts and completions are in the messages of chats, and nowhere else.
//! - Deliberately absent: the model hub, the engine. The caller reads the environment; only the
//!   Postgres driver reads the variables of libpq, such as `PGSSLMODE`.

pub mod aliases;
pub mod attachments;
pub mod backup;
mod batches;
pub mod chats;
mod connect;
mod copies;
pub mod downloads;
mod entities;
mod error;
mod files;
pub mod gateways;
mod key_file;
mod lock;
pub mod messages;
mod migrations;
pub mod personas;
pub mod profiles;
pub mod prompts;
pub mod requests;
pub mod restore;
pub mod runs;
mod search;
pub mod secrets;
pub mod servers;
pub mod settings;
mod sqlite;
mod time;
mod values;

pub use connect::{Location, OpenOptions, Store};
pub use error::StoreError;
pub use lock::LockHolder;
pub use time::now_ms;
pub use uuid::Uuid;

/// The version that is recorded with each migration.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The user of all rows while there are no accounts.
pub const OWNER: Uuid = Uuid::nil();
