//! The errors of operations in the document.
//!
//! Handlers name the statuses of their own errors. Those that the form of a request makes possible, and those of the layers
//! around all handlers, are added here. Each is a [`Problem`](crate::wire::Problem).

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::wire::problem::PROBLEM_JSON;

/// Every request can come from a client that may not send it, and reach a gateway that fails or exits.
const ALL: [StatusCode; 3] = [
    StatusCode::FORBIDDEN,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Parameters in paths and queries can be invalid.
const WITH_PARAMETERS: [StatusCode; 1] = [StatusCode::BAD_REQUEST];

/// Bodies can be invalid, too slow, too large, or declared as something else than JSON.
const WITH_BODY: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
];

/// Adds the errors of all operations, and orders the responses by status.
pub fn add(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.values_mut())
        .filter_map(Value::as_object_mut);
    for operation in operations {
        add_to(operation);
    }
}

fn add_to(operation: &mut Map<String, Value>) {
    let mut statuses = ALL.to_vec();
    if operation.contains_key("parameters") {
        statuses.extend(WITH_PARAMETERS);
    }
    if operation.contains_key("requestBody") {
        statuses.extend(WITH_BODY);
    }
    let responses = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    let Some(responses) = responses else {
        return;
    };
    for status in statuses {
        responses.entry(status.as_str()).or_insert(Value::Null);
    }
    for (status, response) in responses.iter_mut() {
        if let Some(description) = status.parse::<StatusCode>().ok().and_then(description) {
            *response = json!({
                "description": description,
                "content": {(PROBLEM_JSON): {"schema": {"$ref": "#/components/schemas/Problem"}}},
            });
        }
    }
    responses.sort_keys();
}

/// What an error status means in this API; `None` for other statuses.
fn description(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::BAD_REQUEST => "The request is not valid: `errors` names the fields",
        StatusCode::FORBIDDEN => {
            "This client may not send the request, or the hub denied the access"
        }
        StatusCode::NOT_FOUND => "Something that the request names does not exist",
        StatusCode::REQUEST_TIMEOUT => "The body did not arrive in time",
        StatusCode::CONFLICT => {
            "Something is in use or in another state, or a name or port is taken"
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            "The body or a file is too large: bodies have at most 1 MiB where no other limit is named"
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The content type of the body is not JSON",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests wait already",
        StatusCode::INTERNAL_SERVER_ERROR => {
            "The gateway failed, or a file cannot be read or written"
        }
        StatusCode::BAD_GATEWAY => "The hub failed or is not reachable",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The database failed, a model cannot be started, offline mode is on, or the gateway is shutting down"
        }
        StatusCode::INSUFFICIENT_STORAGE => "There is not enough space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_follow_from_the_form_of_a_request() {
        let mut document = json!({"paths": {"/a": {
            "get": {"responses": {"200": {}}},
            "post": {"requestBody": {}, "responses": {"202": {}, "404": {"description": ""}}},
            "delete": {"parameters": [], "responses": {"204": {}}},
        }}});
        add(&mut document);
        let statuses = |method: &str| {
            let responses = document["paths"]["/a"][method]["responses"].as_object();
            responses.unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(statuses("get"), ["200", "403", "500", "503"]);
        assert_eq!(
            statuses("post"),
            [
                "202", "400", "403", "404", "408", "413", "415", "500", "503"
            ]
        );
        assert_eq!(statuses("delete"), ["204", "400", "403", "500", "503"]);
        let not_found = &document["paths"]["/a"]["post"]["responses"]["404"];
        assert_eq!(
            not_found["content"][PROBLEM_JSON]["schema"]["$ref"],
            "#/components/schemas/Problem"
        );
        assert_ne!(not_found["description"], "");
    }
}
