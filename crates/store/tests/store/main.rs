//! Tests of the store through its public functions: the suite on SQLite and on Postgres, and what only one of them has.

#![expect(clippy::unwrap_used, clippy::panic, reason = "panics fail the test")]

mod backups;
mod concurrent;
mod crash;
mod files;
mod postgres;
mod sqlite;
mod suite;
mod support;
