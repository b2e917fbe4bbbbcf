//! HTTP in front of the engine: the OpenAI and Anthropic APIs for one model.
//!
//! [`AppState`] holds a loaded model and the limits of its service, [`router`] makes the routes of it, and [`serve`] runs them
//! on a listener until it is told to stop. Nothing here is about many models: a gateway mounts or proxies the same routes.
//!
//! # Map
//! - `openai`, `anthropic`: the protocols, one file per route: its request, its response, its handler.
//! - `responses`: OpenAI's newer protocol, and where its responses are kept.
//! - `generate`: what every protocol is translated to, and the answer that is translated back.
//! - `fields`: what becomes of the fields that a request has and this server does not know.
//! - `openapi`: the document that describes all routes, made from the types that read the requests.
//! - `error`: one error, shown in each protocol's own shape.
//! - `layers`: request ids, keys, logs and counts around all routes.
//!
//! # Invariants
//! - A protocol is a translation at the edge. Nothing below it knows which one a request came through.
//! - What a request asks for is done or refused by name, never ignored in silence.
//! - A client that goes away drops its answer, and with it the generation.

mod anthropic;
mod engine_metrics;
mod error;
mod extract;
mod fields;
mod generate;
mod health;
mod layers;
mod metrics;
mod openai;
mod openapi;
mod responses;
mod routes;
mod serve;
mod sse;
mod state;
mod trace;

pub use mlxm_chat::FormatOverride;
pub use responses::store::{MemoryLimits, MemoryStore, ResponseStore, StoreError, StoredResponse};
pub use routes::router;
pub use serve::{Shutdown, serve};
pub use state::{AppState, Limits, ServerOptions};
