//! Every answer that ends by itself is in the language of its grammar, whatever the model says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod engine;
mod refused;
mod schemas;
mod support;
mod texts;
mod tools;
