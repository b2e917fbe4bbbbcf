//! Complete output matches its grammar, whatever the model generates.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod applications;
mod engine;
mod rejected;
mod schemas;
mod support;
mod texts;
mod tools;
