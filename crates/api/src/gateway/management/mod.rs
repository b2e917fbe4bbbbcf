//! The management API: everything under `/api` that is not a stream of events, a download or a model.
//!
//! - `servers`, `pool`: models in memory, and the memory budget. `profiles`, `aliases`: what requests can name.
//! - `settings`, `system`, `doctor`: the gateway and its machine. `audit`, `export`: requests that have ended.
//! - `openapi`: the document of all routes. `documentation`: the page that shows it. `access`: which requests may change something.

mod access;
mod aliases;
mod audit;
mod doctor;
mod documentation;
mod export;
mod openapi;
mod pool;
mod profiles;
mod servers;
mod settings;
mod system;

use axum::routing::MethodRouter;

pub use access::check_content_type;
pub use documentation::routes as documentation_routes;
pub use pool::pool_status;
pub use profiles::check_request;
pub use servers::live_requests;
pub use servers::servers as describe_servers;
pub use system::read_memory;

use super::GatewayState;

/// The routes of all modules.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    [
        servers::routes(),
        pool::routes(),
        profiles::routes(),
        aliases::routes(),
        settings::routes(),
        system::routes(),
        audit::routes(),
        openapi::routes(),
    ]
    .concat()
}
