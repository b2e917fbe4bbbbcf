//! Mutations of HTTP responses that are separated by [`SEPARATOR`]: the body of one as JSON, or its bytes.

use fastrand::Rng;

use super::{bytes, json};

/// Stands between two responses.
pub(crate) const SEPARATOR: &[u8] = b"\n====\n";

/// Stands between headers and body.
const BODY: &[u8] = b"\r\n\r\n";

pub(crate) fn mutate(rng: &mut Rng, example: &[u8], _other: &[u8]) -> Vec<u8> {
    let mut responses: Vec<Vec<u8>> = split(example).into_iter().map(<[u8]>::to_vec).collect();
    let index = rng.usize(..responses.len());
    let response = &mut responses[index];
    let body = find(response, BODY).map(|at| at + BODY.len());
    match body {
        Some(body) if rng.u8(..4) > 0 => {
            let changed = json::mutate(rng, &response[body..], &[]);
            response.truncate(body);
            response.extend(changed);
        }
        _ => {
            let changed = bytes::mutate(rng, response, &[]);
            // A redirect could lead to another host.
            if find(&changed.to_ascii_lowercase(), b"location").is_none() {
                *response = changed;
            }
        }
    }
    responses.join(SEPARATOR)
}

/// The responses of an input; at least one.
pub(crate) fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut responses = Vec::new();
    let mut rest = input;
    while let Some(at) = find(rest, SEPARATOR) {
        responses.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    responses.push(rest);
    responses
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
