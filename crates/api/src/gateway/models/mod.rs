//! `/api/models`: models on this machine and on the hub.
//!
//! - `local`: the list, and what is shown of a model. `search`: the hub. `details`: one model. `remove`: removing and checking.
//! - `characteristics`, `parameters`: what configurations, names and headers of weights say.

mod characteristics;
pub(super) mod details;
pub(super) mod local;
mod parameters;
pub(super) mod remove;
pub(super) mod search;

use axum::routing::{MethodRouter, get, post};

pub use characteristics::can_be_read;

use super::GatewayState;

/// The routes of this module. A name with `/` is one segment: `owner%2Fname`.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/models/local", get(local::list)),
        ("/api/models/search", get(search::search)),
        (
            "/api/models/{id}",
            get(details::show).delete(remove::remove),
        ),
        ("/api/models/{id}/verify", post(remove::verify)),
    ]
}
