//! The page as it is served: each file with its headers.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use super::files::{EMBEDDED, EmbeddedFile};
use super::policy::{content_security_policy, preview_policy};
use super::preload::{Preload, ROUTES};
use crate::error::{ApiError, excerpt};

/// The page for every path that is not one of a file. It is a file of its own, too.
const INDEX: &str = "/index.html";

/// The file of the document that shows previews, and the path of a request for it.
const PREVIEW_FILE: &str = "/preview/frame.html";
const PREVIEW: &str = "/preview/frame";

/// The page of a program that was compiled without the others.
const MISSING: EmbeddedFile = EmbeddedFile {
    path: INDEX,
    bytes: include_bytes!("missing.html"),
    is_gzip: false,
};

/// For content that never changes under its name.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// For all else: another version of the program has other content under the same name.
const REVALIDATE: &str = "no-cache";

/// Headers of all files.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Whether the page is part of the program. Otherwise browsers get one that says how to build it.
pub fn has_page() -> bool {
    find_index(EMBEDDED).is_some()
}

fn find_index(files: &[EmbeddedFile]) -> Option<&EmbeddedFile> {
    files.iter().find(|file| file.path == INDEX)
}

/// The path of requests for a file.
fn request_path(file: &EmbeddedFile) -> &'static str {
    match file.path {
        PREVIEW_FILE => PREVIEW,
        path => path,
    }
}

/// The files of the page, by the paths of requests for them.
pub struct Site {
    files: HashMap<&'static str, Asset>,
    index: Asset,
    preload: Preload,
    policy: HeaderValue,
    preview_policy: HeaderValue,
}

struct Asset {
    file: EmbeddedFile,
    /// Of its content, unless the content never changes.
    etag: Option<HeaderValue>,
}

impl Site {
    /// The page that is part of the program.
    pub fn embedded() -> Self {
        Self::new(EMBEDDED)
    }

    /// The page with these files, of which one has the path `/index.html`.
    pub fn new(files: &[EmbeddedFile]) -> Self {
        let index = find_index(files);
        // Without the page its other files are useless.
        let files = index.map_or(&[][..], |_| files);
        let index = index.copied().unwrap_or(MISSING);
        let html = index.plain().unwrap_or_default();
        let content = |path: &str| {
            let file = files.iter().find(|file| file.path == path);
            file.and_then(|file| file.plain().ok()).unwrap_or_default()
        };
        Self {
            files: files
                .iter()
                .map(|file| (request_path(file), Asset::new(*file)))
                .collect(),
            policy: content_security_policy(&String::from_utf8_lossy(&html)),
            preview_policy: preview_policy(&String::from_utf8_lossy(&content(PREVIEW_FILE))),
            preload: Preload::parse(&content(ROUTES)),
            index: Asset::new(index),
        }
    }

    /// Whether there is a file at this path of a request.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The response to a request that is for the page.
    ///
    /// # Errors
    /// Status 404 for a file of another version of the page.
    pub fn response(&self, path: &str, request: &HeaderMap) -> Result<Response, ApiError> {
        let file = self.files.get(path);
        let asset = match file {
            Some(asset) => asset,
            None if path.starts_with("/_app/") => {
                return Err(ApiError::not_found(format!(
                    "the page has no file {}: reload it, since it is of another version of mlxm",
                    excerpt(path)
                )));
            }
            None => &self.index,
        };
        let mut response = asset.response(request)?;
        let policy = if path == PREVIEW {
            &self.preview_policy
        } else {
            &self.policy
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        if file.is_none()
            && let Some(link) = self.preload.link(path)
        {
            headers.insert(header::LINK, link.clone());
        }
        for (name, value) in SECURITY_HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

impl Asset {
    fn new(file: EmbeddedFile) -> Self {
        let digest = || BASE64URL_NOPAD.encode(&Sha256::digest(file.bytes)[..16]);
        // Weak, since it is the same with and without compression.
        let etag = (!file.is_immutable()).then(|| format!("W/\"{}\"", digest()));
        Self {
            file,
            etag: etag.and_then(|etag| HeaderValue::try_from(etag).ok()),
        }
    }

    fn response(&self, request: &HeaderMap) -> Result<Response, ApiError> {
        let mut response = if self.is_known_to(request) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.content(request)?
        };
        let headers = response.headers_mut();
        let cache = if self.file.is_immutable() {
            IMMUTABLE
        } else {
            REVALIDATE
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        // Some paths are those of an API, too.
        let vary = HeaderValue::from_static("accept, accept-encoding");
        headers.insert(header::VARY, vary);
        if let Some(etag) = &self.etag {
            headers.insert(header::ETAG, etag.clone());
        }
        Ok(response)
    }

    /// Whether the client has this version.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let Some(etag) = self.etag.as_ref().and_then(|etag| etag.to_str().ok()) else {
            return false;
        };
        let known = request.get_all(header::IF_NONE_MATCH).iter();
        known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim() == etag)
    }

    fn content(&self, request: &HeaderMap) -> Result<Response, ApiError> {
        let sends_gzip = self.file.is_gzip && accepts_gzip(request);
        let content = if sends_gzip {
            Bytes::from_static(self.file.bytes)
        } else {
            let plain = self.file.plain().map_err(|error| {
                ApiError::internal(format!("the page is damaged: {error}: install mlxm again"))
            })?;
            Bytes::from_owner(plain)
        };
        let mut response = Response::new(Body::from(content));
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static(self.file.media_type());
        headers.insert(header::CONTENT_TYPE, media_type);
        if sends_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

/// Whether the client names gzip, or everything, without a weight of zero.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let weight_above_zero = |wanted: &str| {
        let accepted = request.get_all(header::ACCEPT_ENCODING).iter();
        accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|coding| {
                let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
                let weight = parameters.trim().strip_prefix("q=").unwrap_or("1");
                let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
                is_wanted.then(|| weight.trim().parse::<f32>().unwrap_or(0.0) > 0.0)
            })
    };
    weight_above_zero("gzip")
        .or_else(|| weight_above_zero("*"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("gzip, deflate, br, zstd", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("*;q=0.1", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*;q=0", false),
            ("x-gzipped", false),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, value);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn files_without_a_page_are_not_served() {
        let file = EmbeddedFile {
            path: "/theme.js",
            bytes: b"1",
            is_gzip: false,
        };
        let site = Site::new(&[file]);
        assert!(!site.has_file("/theme.js"));
        assert!(site.response("/", &HeaderMap::new()).is_ok());
    }
}
