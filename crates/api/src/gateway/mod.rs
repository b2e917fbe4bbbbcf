//! The gateway: one address for several models, each served by a worker process.
//!
//! It computes no tokens and maps no weights. [`proxy`] forwards the inference routes to workers.

mod layers;
pub mod proxy;
