//! Histories of every kind render with templates of every kind.
//!
//! The templates in `templates` are small ones with the restrictions of real ones. The test of real templates needs a corpus, which
//! `cargo xtask test templates` downloads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod families;
mod generator;
mod random;
mod support;
