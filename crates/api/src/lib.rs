//! HTTP in front of the engine: the OpenAI and Anthropic APIs for one model, and a gateway for several.
//!
//! [`AppState`] holds a loaded model and the server's options, [`router`] builds the routes, and [`serve`] runs them on a
//! listener until shutdown. The [`gateway`] forwards the same routes to such servers, one for each model.
//!
//! # Map
//! - `openai`, `anthropic`: the APIs, one file per route with its request, response and handler.
//! - `responses`: OpenAI's Responses API and its store.
//! - `gateway`: forwards requests to the workers that have the models.
//! - `generate`: completions with deadlines and metrics, which every API translates to and from.
//! - `extract`, `fields`, `numbers`, `surrogates`: request bodies, read once; what clients send in other forms than the official
//!   ones; ignored, unsupported and unknown fields.
//! - `openapi`: the OpenAPI document, generated from the request types.
//! - `error`, `stream_errors`: one error type, rendered in each API's format as a response and as the end of a stream.
//! - `worker`: what the process that owns the server may do: usage of requests, profiles, threads.
//! - `access`, `origin`, `cors`: which hosts, web pages and API keys may use the server.
//! - [`wire`]: requests and responses of the gateway's management API, which the program's commands use, too.
//! - `layers`: middleware for request ids, traces, metrics and CORS.
//!
//! # Invariants
//! - An API is a translation at the edge. Nothing below it depends on the API that a request used.
//! - A parameter is applied, rejected by name, or ignored with a warning header; never ignored silently.
//! - When a client disconnects, its completion is dropped, which cancels the generation.

mod access;
mod anthropic;
mod cors;
mod engine_metrics;
mod error;
mod extract;
mod fields;
pub mod gateway;
mod generate;
mod health;
mod layers;
mod metrics;
mod numbers;
mod openai;
mod openapi;
mod origin;
#[cfg(test)]
mod random_histories;
mod responses;
mod routes;
mod serve;
mod sse;
mod state;
mod stream_errors;
mod surrogates;
mod trace;
pub mod wire;
mod worker;

pub use access::AccessPolicy;
pub use cors::{CorsOrigin, InvalidOrigin};
pub use mlxm_chat::FormatOverride;
pub use responses::store::{MemoryLimits, MemoryStore, ResponseStore, StoreError, StoredResponse};
pub use routes::router;
pub use serve::{Shutdown, serve};
pub use state::{AppState, Capabilities, Limits, ServerOptions};
pub use worker::{Owner, RequestPhase, RequestUsage, RunningRequest, UsageFinish};
