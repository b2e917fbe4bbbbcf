//! Scripts that a page needs and its markup does not name: a browser requests them at once if the response names them.

use axum::http::HeaderValue;
use serde::Deserialize;

/// The list that the build of the page writes.
pub const ROUTES: &str = "/_app/routes.json";

/// The scripts of each route.
#[derive(Debug, Default)]
pub struct Preload {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    segments: Vec<Segment>,
    /// The `Link` header of responses for its paths.
    link: HeaderValue,
}

/// A part of a path between slashes, as SvelteKit names routes.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// This text.
    Literal(String),
    /// Any text: `[id]`.
    Parameter,
    /// Any text, or no such segment: `[[id]]`.
    Optional,
    /// Any number of segments: `[...path]`.
    Rest,
}

#[derive(Deserialize)]
struct ListedRoute {
    route: String,
    scripts: Vec<String>,
}

impl Preload {
    /// Reads the list. One that cannot be read is empty: without it, pages only load more slowly.
    pub fn parse(json: &[u8]) -> Self {
        let listed: Vec<ListedRoute> = serde_json::from_slice(json).unwrap_or_default();
        let routes = listed.into_iter().filter_map(|listed| {
            let links = listed
                .scripts
                .iter()
                .map(|script| format!("<{script}>; rel=modulepreload; fetchpriority=low"));
            let links = links.collect::<Vec<_>>().join(", ");
            Some(Route {
                segments: segments(&listed.route).map(Segment::parse).collect(),
                link: HeaderValue::try_from(links).ok()?,
            })
        });
        Self {
            routes: routes.collect(),
        }
    }

    /// The `Link` header of the response for a path, if it is one of a route that needs more than the markup names.
    pub fn link(&self, path: &str) -> Option<&HeaderValue> {
        let path: Vec<&str> = segments(path).collect();
        let matching = self
            .routes
            .iter()
            .filter(|route| is_match(&route.segments, &path));
        // `/profiles/new` rather than `/profiles/[id]`.
        let literals = |route: &&Route| {
            let literal = |segment: &&Segment| matches!(segment, Segment::Literal(_));
            route.segments.iter().filter(literal).count()
        };
        let route = matching.max_by_key(literals)?;
        (!route.link.is_empty()).then_some(&route.link)
    }
}

impl Segment {
    fn parse(name: &str) -> Self {
        if name.starts_with("[...") {
            Self::Rest
        } else if name.starts_with("[[") {
            Self::Optional
        } else if name.starts_with('[') {
            Self::Parameter
        } else {
            Self::Literal(name.to_owned())
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_match(route: &[Segment], path: &[&str]) -> bool {
    let Some((segment, route)) = route.split_first() else {
        return path.is_empty();
    };
    let after_one = |path: &[&str]| {
        path.split_first()
            .is_some_and(|(_, rest)| is_match(route, rest))
    };
    match segment {
        Segment::Literal(name) => path.first() == Some(&name.as_str()) && after_one(path),
        Segment::Parameter => after_one(path),
        Segment::Optional => after_one(path) || is_match(route, path),
        Segment::Rest => (0..=path.len()).any(|skipped| is_match(route, &path[skipped..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preload() -> Preload {
        Preload::parse(
            br#"[
                {"route": "/", "scripts": ["/home.js", "/a.js"]},
                {"route": "/chat/[[id]]", "scripts": ["/chat.js"]},
                {"route": "/profiles/[id]", "scripts": ["/profile.js"]},
                {"route": "/profiles/new", "scripts": ["/new.js"]},
                {"route": "/models/[owner]/[...name]", "scripts": ["/model.js"]},
                {"route": "/settings", "scripts": []}
            ]"#,
        )
    }

    #[test]
    fn link_names_the_scripts_of_the_route() {
        let preload = preload();
        for (path, expected) in [
            (
                "/",
                Some(
                    "</home.js>; rel=modulepreload; fetchpriority=low, </a.js>; rel=modulepreload; fetchpriority=low",
                ),
            ),
            (
                "/chat",
                Some("</chat.js>; rel=modulepreload; fetchpriority=low"),
            ),
            (
                "/chat/7",
                Some("</chat.js>; rel=modulepreload; fetchpriority=low"),
            ),
            (
                "/chat/7/",
                Some("</chat.js>; rel=modulepreload; fetchpriority=low"),
            ),
            ("/chat/7/8", None),
            (
                "/profiles/new",
                Some("</new.js>; rel=modulepreload; fetchpriority=low"),
            ),
            (
                "/profiles/old",
                Some("</profile.js>; rel=modulepreload; fetchpriority=low"),
            ),
            ("/profiles", None),
            (
                "/models/org/a/b",
                Some("</model.js>; rel=modulepreload; fetchpriority=low"),
            ),
            (
                "/models/org",
                Some("</model.js>; rel=modulepreload; fetchpriority=low"),
            ),
            ("/settings", None),
            ("/unknown", None),
        ] {
            let link = preload.link(path).map(|link| link.to_str().unwrap());
            assert_eq!(link, expected, "{path}");
        }
    }

    #[test]
    fn list_that_cannot_be_read_is_empty() {
        for json in [&b""[..], b"{}", b"[{}]", b"[{\"route\": 1}]"] {
            assert!(Preload::parse(json).link("/").is_none());
        }
    }
}
