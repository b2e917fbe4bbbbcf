//! The gateway: one address for several models, each served by a worker process.
//!
//! It computes no tokens and maps no weights. [`start()`] opens the database, adopts running workers, and listens;
//! [`Gateway::serve`] runs until shutdown. [`proxy`] forwards the inference routes to workers.
//!
//! # Map
//! - `start`, `server`, `background`: start, shutdown, and the tasks in between. `home`: the directory of a gateway.
//! - `memory_pressure`: stops idle models when the operating system is short of memory.
//! - `state`: what all handlers share. `settings`: flag > environment > database > default.
//! - `catalog_watch`: models, profiles and aliases, and the names that requests can use for them.
//! - `workers`, `records`: the pool as the proxy and the database see it.
//! - `audit`: the log of requests. `health`, `metrics`: how the gateway and its workers are doing, and what they did in the last
//!   day.
//! - `routes`: the table of routes. `layers`: which hosts, web pages and clients may use the gateway. `connections`: how many at
//!   a time.
//! - `proxy`: the inference routes. `profile_ports`: profiles with a port of their own.
//! - `chats`: conversations, their attachments, and runs that respond.
//! - `events`: what has changed, and logs. `downloads`: the download queue. `models`: local models, the hub, characteristics.
//! - `clients`: how programs are configured for the gateway, and which of them have sent requests.
//! - `management`: the routes under `/api`, apart from chats, clients, events, downloads and models.
//! - `web`: the page for browsers.
//! - `problem`, `extract`: errors, bodies and queries of the management API, whose types are in [`wire`](crate::wire).

mod audit;
mod background;
mod catalog_watch;
mod chats;
mod clients;
mod connections;
pub mod downloads;
pub mod events;
mod extract;
mod health;
mod home;
mod layers;
mod management;
mod memory_pressure;
mod metrics;
mod models;
mod problem;
mod profile_ports;
pub mod proxy;
mod records;
mod routes;
mod server;
pub mod settings;
mod start;
mod state;
mod web;
mod workers;

pub use catalog_watch::{CatalogHandle, Snapshot};
pub use clients::with_key as client_setup_with_key;
pub use home::HomeError;
pub use profile_ports::PortFailure;
pub use server::Gateway;
pub use start::{OTLP_ENDPOINT, StartError, random_key, start};
pub use state::{Components, GatewayOptions, GatewayState, Monitor};
pub use web::has_page;
pub use workers::{LoadSettingsError, pool_target};
