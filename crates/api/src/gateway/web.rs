//! The web page: files that are part of the program, for browsers.
//!
//! `cargo xtask web` builds the page into `web/build/site`, and the build script of this crate lists its files (`files`). A
//! program that was compiled without them serves a page that says how to build it.
//!
//! Three kinds of requests are for the page, and all others for the routes of the gateway: GET and HEAD of one of its files, of
//! anything below `/_app`, and of any path that is not one of an API by a client that accepts HTML. The page shows what belongs
//! to the path. So `/models` is a page for a browser and a list for a program.

mod files;
mod policy;
mod preload;
mod site;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tower::ServiceExt as _;

use self::site::Site;
pub use self::site::has_page;
use super::layers::check_host_or_link;
use crate::access::AccessPolicy;
use crate::error::ApiError;
use crate::layers::with_errors;

/// First segments of the paths that only APIs have. `/models` without `/v1` is not among them.
const API_SEGMENTS: [&str; 6] = ["api", "health", "internal", "metrics", "responses", "v1"];

/// Adds the page to the routes of the gateway. `access` says which hosts and other pages may request it.
pub fn with_page(routes: Router, access: Arc<AccessPolicy>) -> Router {
    with_site(routes, access, Site::embedded())
}

fn with_site(routes: Router, access: Arc<AccessPolicy>, site: Site) -> Router {
    let site = Arc::new(site);
    let page = Router::new()
        .fallback(respond)
        .layer(from_fn_with_state(access, check_host_or_link))
        .with_state(site.clone());
    let page = Page {
        site,
        router: with_errors(page, &[]),
    };
    routes.layer(from_fn_with_state(page, dispatch))
}

#[derive(Clone)]
struct Page {
    site: Arc<Site>,
    router: Router,
}

/// Sends requests for the page to it.
async fn dispatch(State(page): State<Page>, request: Request, next: Next) -> Response {
    if !is_for_page(&page.site, &request) {
        return next.run(request).await;
    }
    match page.router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn is_for_page(site: &Site, request: &Request) -> bool {
    let path = request.uri().path();
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return false;
    }
    site.has_file(path)
        || path.starts_with("/_app/")
        || (!is_of_api(path) && accepts_html(request.headers()))
}

fn is_of_api(path: &str) -> bool {
    let first = path.split('/').find(|segment| !segment.is_empty());
    first.is_some_and(|first| API_SEGMENTS.contains(&first))
}

/// Whether HTML is named, as browsers do when a user opens a page. Other clients accept everything, and expect JSON.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case("text/html")
        })
}

async fn respond(State(site): State<Arc<Site>>, request: Request) -> Result<Response, ApiError> {
    site.response(request.uri().path(), request.headers())
}

#[cfg(test)]
mod tests;
