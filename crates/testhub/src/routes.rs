//! Routes of the hub and of the storage host.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::content::{response, serve};
use crate::{Fault, ReceivedRequest, State};

const COMMIT: header::HeaderName = header::HeaderName::from_static("x-repo-commit");
const LINKED_ETAG: header::HeaderName = header::HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: header::HeaderName = header::HeaderName::from_static("x-linked-size");
const ERROR_CODE: header::HeaderName = header::HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: header::HeaderName = header::HeaderName::from_static("x-error-message");
/// Etag of all files on the storage host, which differs from the etags of the hub.
const STORAGE_ETAG: &str = "storage-etag";

pub(crate) fn hub_routes(state: Arc<State>) -> Router {
    Router::new().fallback(handle_hub).with_state(state)
}

pub(crate) fn storage_routes(state: Arc<State>) -> Router {
    Router::new().fallback(handle_storage).with_state(state)
}

async fn handle_hub(Shared(state): Shared<Arc<State>>, request: Request) -> Response<Body> {
    let path = segments(request.uri());
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (is_moved, path) = match path.as_slice() {
        ["moved", rest @ ..] => (true, rest),
        all => (false, all),
    };
    let redirect = state.lock().redirect.clone().filter(|_| !is_moved);
    let response = match (redirect, path) {
        (Some((status, base)), _) => redirected(status, &base, request.uri()),
        (None, ["api", "models"]) => search(&state, request.uri()),
        (None, ["api", "models", rest @ ..]) => model_info(&state, &request, rest),
        (None, _) => resolve(&state, &request, path),
    };
    record(&state, &request, &response, false);
    response
}

async fn handle_storage(Shared(state): Shared<Arc<State>>, request: Request) -> Response<Body> {
    let path = segments(request.uri());
    let response = match path.as_slice() {
        [repo, commit, file] => {
            let fault = next_fault(&state, repo, file);
            match (fault, content(&state, repo, commit, file)) {
                (Some(Fault::Status(status)), _) => text_response(status, "URL expired"),
                (fault, Some((content, _))) => serve(
                    &state,
                    request.headers(),
                    STORAGE_ETAG,
                    content,
                    request.method() == Method::HEAD,
                    fault,
                ),
                (_, None) => text_response(404, "not found"),
            }
        }
        _ => text_response(404, "not found"),
    };
    record(&state, &request, &response, true);
    response
}

fn redirected(status: u16, base: &str, uri: &Uri) -> Response<Body> {
    let location = format!("{base}{uri}");
    response(
        status_code(status),
        &[(header::LOCATION, location)],
        Body::empty(),
    )
}

fn record(state: &State, request: &Request, response: &Response<Body>, at_storage: bool) {
    let text =
        |name: header::HeaderName| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let mut inner = state.lock();
    let concurrent = inner.active_responses;
    inner.received.push(ReceivedRequest {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        at_storage,
        authorization: text(header::AUTHORIZATION),
        range: text(header::RANGE),
        status: response.status().as_u16(),
        concurrent,
    });
}

fn search(state: &State, uri: &Uri) -> Response<Body> {
    if let Some(error) = next_api_error(state) {
        return error;
    }
    let query = query(uri);
    let wanted = |name: &str| query.get(name).map(|value| value.to_lowercase());
    let inner = state.lock();
    let mut found: Vec<_> = inner
        .repos
        .iter()
        .filter(|stored| {
            let repo = &stored.latest;
            let id = repo.id.to_lowercase();
            !repo.private
                && wanted("search").is_none_or(|text| id.contains(&text))
                && wanted("author").is_none_or(|author| id.starts_with(&format!("{author}/")))
                && query
                    .get("filter")
                    .is_none_or(|tag| repo.tags.contains(tag))
        })
        .collect();
    if query.get("sort").is_some_and(|sort| sort == "downloads") {
        found.sort_by_key(|stored| std::cmp::Reverse(stored.latest.downloads));
    }
    let models = found
        .iter()
        .filter_map(|stored| Some(stored.describe(&stored.commit_of("main")?)))
        .collect();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let page_size = [limit, inner.page_size].into_iter().flatten().min();
    drop(inner);
    page(state, uri, models, page_size)
}

fn model_info(state: &State, request: &Request, rest: &[&str]) -> Response<Body> {
    if let Some(error) = next_api_error(state) {
        return error;
    }
    let (id, what, revision) = match rest {
        [owner, name, what @ ("revision" | "tree"), revision] => {
            (format!("{owner}/{name}"), *what, *revision)
        }
        [name, what @ ("revision" | "tree"), revision] => ((*name).to_owned(), *what, *revision),
        _ => (rest.join("/"), "revision", "main"),
    };
    let page_size = state.lock().page_size;
    let entries = {
        let commit = match find(state, request.headers(), &id, revision) {
            Ok(commit) => commit,
            Err(error) => return *error,
        };
        let inner = state.lock();
        let Some(stored) = inner
            .repos
            .iter()
            .find(|stored| stored.latest.id.eq_ignore_ascii_case(&id))
        else {
            return error_response(404, "RepoNotFound", "Repository not found");
        };
        if stored.latest.id != id {
            let path = request
                .uri()
                .to_string()
                .replacen(&id, &stored.latest.id, 1);
            return response(
                StatusCode::TEMPORARY_REDIRECT,
                &[(header::LOCATION, path)],
                Body::empty(),
            );
        }
        if what == "revision" {
            return json_response(&stored.describe(&commit), &[]);
        }
        stored.tree(&commit)
    };
    page(state, request.uri(), entries, page_size)
}

fn resolve(state: &Arc<State>, request: &Request, path: &[&str]) -> Response<Body> {
    let Some(at) = path
        .iter()
        .position(|segment| *segment == "resolve")
        .filter(|at| (1..=2).contains(at))
    else {
        return text_response(404, "not found");
    };
    let id = path[..at].join("/");
    let (Some(revision), file) = (
        path.get(at + 1),
        path.get(at + 2..).unwrap_or_default().join("/"),
    ) else {
        return text_response(404, "not found");
    };
    let commit = match find(state, request.headers(), &id, revision) {
        Ok(commit) => commit,
        Err(error) => return *error,
    };
    if state
        .lock()
        .repos
        .iter()
        .any(|stored| stored.latest.id == id && stored.latest.gated)
    {
        let status = if request.headers().contains_key(header::AUTHORIZATION) {
            403
        } else {
            401
        };
        return error_response(status, "GatedRepo", "Access to this model is restricted.");
    }
    let is_head = request.method() == Method::HEAD;
    let mut fault = None;
    if !is_head {
        match peek_fault(state, &id, &file) {
            Some(Fault::HubStatus(status, retry_after)) => {
                next_fault(state, &id, &file);
                let fields: Vec<_> = retry_after
                    .map(|wait| (header::RETRY_AFTER, wait.to_owned()))
                    .into_iter()
                    .collect();
                return response(status_code(status), &fields, Body::from("try again later"));
            }
            Some(Fault::Replace(new)) => {
                next_fault(state, &id, &file);
                let mut inner = state.lock();
                let stored = inner.repos.iter_mut().find(|stored| stored.latest.id == id);
                let old = stored.and_then(|stored| stored.commits.get_mut(&commit)?.get_mut(&file));
                if let Some(old) = old {
                    old.content = new;
                }
            }
            _ => {}
        }
    }
    let Some((content, is_large)) = content(state, &id, &commit, &file) else {
        return error_response(404, "EntryNotFound", "Entry not found");
    };
    let etag = etag(state, &id, &commit, &file);
    if is_large {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let location = format!(
            "{}/{}/{commit}/{}",
            state.storage,
            encode(&id),
            encode_file(&file)
        );
        return response(
            StatusCode::FOUND,
            &[
                (header::LOCATION, location),
                (LINKED_ETAG, format!("\"{etag}\"")),
                (LINKED_SIZE, content.len().to_string()),
                (COMMIT, commit),
                (header::CONTENT_LENGTH, "0".to_owned()),
            ],
            Body::empty(),
        );
    }
    if !is_head {
        fault = next_fault(state, &id, &file);
    }
    if let Some(Fault::Status(status)) = fault {
        return text_response(status, "fault injection");
    }
    let mut response = serve(state, request.headers(), &etag, content, is_head, fault);
    if let Ok(commit) = commit.parse() {
        response.headers_mut().insert(COMMIT, commit);
    }
    response
}

/// Encodes a file path as one URL segment that stays readable.
fn encode_file(file: &str) -> String {
    file.replace('/', "%2F")
}

/// The commit of a revision, if the request has access to it.
fn find(
    state: &State,
    headers: &HeaderMap,
    id: &str,
    revision: &str,
) -> Result<String, Box<Response<Body>>> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let inner = state.lock();
    let is_known =
        |token: &str| inner.tokens.is_empty() || inner.tokens.iter().any(|known| known == token);
    if token.is_some_and(|token| !is_known(token)) {
        return Err(Box::new(error_response(
            401,
            "",
            "Invalid credentials in Authorization header",
        )));
    }
    let stored = inner
        .repos
        .iter()
        .find(|stored| stored.latest.id.eq_ignore_ascii_case(id));
    match stored {
        Some(stored) if !stored.latest.private || token.is_some() => stored
            .commit_of(revision)
            .ok_or_else(|| Box::new(error_response(404, "RevisionNotFound", "Invalid rev id"))),
        _ if token.is_none() => Err(Box::new(error_response(
            401,
            "RepoNotFound",
            "Invalid username or password.",
        ))),
        _ => Err(Box::new(error_response(
            404,
            "RepoNotFound",
            "Repository not found",
        ))),
    }
}

fn content(state: &State, id: &str, commit: &str, file: &str) -> Option<(Vec<u8>, bool)> {
    let inner = state.lock();
    let stored = inner.repos.iter().find(|stored| stored.latest.id == id)?;
    let file = stored.commits.get(commit)?.get(file)?;
    Some((file.content.clone(), file.is_large))
}

fn etag(state: &State, id: &str, commit: &str, file: &str) -> String {
    let inner = state.lock();
    let stored = inner.repos.iter().find(|stored| stored.latest.id == id);
    let file = stored.and_then(|stored| stored.commits.get(commit)?.get(file));
    file.map(crate::repo::TestFile::etag).unwrap_or_default()
}

fn next_fault(state: &State, id: &str, file: &str) -> Option<Fault> {
    state
        .lock()
        .faults
        .get_mut(&(id.to_owned(), file.to_owned()))?
        .pop_front()
}

fn peek_fault(state: &State, id: &str, file: &str) -> Option<Fault> {
    state
        .lock()
        .faults
        .get(&(id.to_owned(), file.to_owned()))?
        .front()
        .cloned()
}

fn next_api_error(state: &State) -> Option<Response<Body>> {
    let (status, retry_after) = state.lock().api_errors.pop_front()?;
    let fields: Vec<_> = retry_after
        .map(|wait| (header::RETRY_AFTER, wait.to_owned()))
        .into_iter()
        .collect();
    Some(response(
        status_code(status),
        &fields,
        Body::from("try again later"),
    ))
}

/// One page of a list, selected by the `cursor` query parameter.
fn page(state: &State, uri: &Uri, entries: Vec<Value>, page_size: Option<usize>) -> Response<Body> {
    let start: usize = query(uri)
        .get("cursor")
        .and_then(|cursor| cursor.parse().ok())
        .unwrap_or(0);
    let size = page_size.unwrap_or(entries.len()).max(1);
    let end = (start + size).min(entries.len());
    let mut fields = Vec::new();
    if end < entries.len() {
        let others = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.starts_with("cursor=") && !pair.is_empty());
        let query: Vec<String> = others
            .map(str::to_owned)
            .chain([format!("cursor={end}")])
            .collect();
        let next = format!(
            "<{}{}?{}>; rel=\"next\"",
            state.endpoint,
            uri.path(),
            query.join("&")
        );
        fields.push((header::LINK, next));
    }
    json_response(&json!(entries.get(start..end).unwrap_or_default()), &fields)
}

fn json_response(body: &Value, fields: &[(header::HeaderName, String)]) -> Response<Body> {
    let mut fields = fields.to_vec();
    fields.push((header::CONTENT_TYPE, "application/json".to_owned()));
    response(StatusCode::OK, &fields, Body::from(body.to_string()))
}

fn error_response(status: u16, code: &str, message: &str) -> Response<Body> {
    let mut fields = vec![(ERROR_MESSAGE, message.to_owned())];
    if !code.is_empty() {
        fields.push((ERROR_CODE, code.to_owned()));
    }
    response(
        status_code(status),
        &fields,
        Body::from(json!({ "error": message }).to_string()),
    )
}

fn text_response(status: u16, text: &'static str) -> Response<Body> {
    response(status_code(status), &[], Body::from(text))
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn segments(uri: &Uri) -> Vec<String> {
    uri.path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

fn query(uri: &Uri) -> HashMap<String, String> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
