//! The stable codes of problems. `docs/api-errors.md` has the same table, which a test compares.

use axum::http::StatusCode;

/// A stable name of a problem, with what is the same for every occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its name.
    pub name: &'static str,
    /// The status of the response.
    pub status: StatusCode,
    /// The problem in general.
    pub title: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $status:ident, $title:literal;)+) => {
        impl Code {
            $(
                pub const $constant: Self = Self {
                    name: $name,
                    status: StatusCode::$status,
                    title: $title,
                };
            )+

            /// All codes, by status.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

codes! {
    IMAGES_UNSUPPORTED = "images_unsupported", BAD_REQUEST, "The model reads no images";
    INVALID_BODY = "invalid_body", BAD_REQUEST, "The body is not a JSON object";
    INVALID_REQUEST = "invalid_request", BAD_REQUEST, "A field of the request is missing or invalid";
    ATTACHMENT_UNSUPPORTED = "attachment_unsupported", BAD_REQUEST, "No model reads files of this type";
    MODEL_DOES_NOT_FIT = "model_does_not_fit", BAD_REQUEST, "The model is larger than the memory budget";
    MODEL_INVALID = "model_invalid", BAD_REQUEST, "The model or a load setting is not valid";
    MODELFILE_INVALID = "modelfile_invalid", BAD_REQUEST, "The Modelfile has an instruction that cannot be imported";
    UNSUPPORTED_WEIGHTS = "unsupported_weights", BAD_REQUEST, "The repository has no weights in a supported format";
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, "The API key is missing or wrong";
    FORBIDDEN = "forbidden", FORBIDDEN, "This client may not send the request";
    HUB_DENIED = "hub_denied", FORBIDDEN, "The hub denied access to the repository";
    ALIAS_NOT_FOUND = "alias_not_found", NOT_FOUND, "There is no such alias";
    ATTACHMENT_NOT_FOUND = "attachment_not_found", NOT_FOUND, "There is no such attachment";
    AUDIT_ROW_NOT_FOUND = "audit_row_not_found", NOT_FOUND, "There is no such row in the audit log";
    CHAT_NOT_FOUND = "chat_not_found", NOT_FOUND, "There is no such chat";
    CLIENT_NOT_FOUND = "client_not_found", NOT_FOUND, "There is no such client";
    DOWNLOAD_NOT_FOUND = "download_not_found", NOT_FOUND, "There is no such download";
    MESSAGE_NOT_FOUND = "message_not_found", NOT_FOUND, "There is no such message";
    MODEL_NOT_FOUND = "model_not_found", NOT_FOUND, "There is no such model";
    NOT_FOUND = "not_found", NOT_FOUND, "There is no such resource";
    PERSONA_NOT_FOUND = "persona_not_found", NOT_FOUND, "There is no such persona";
    PROFILE_NOT_FOUND = "profile_not_found", NOT_FOUND, "There is no such profile";
    PROMPT_NOT_FOUND = "prompt_not_found", NOT_FOUND, "There is no such prompt";
    REQUEST_NOT_FOUND = "request_not_found", NOT_FOUND, "There is no such running request";
    ROUTE_NOT_FOUND = "route_not_found", NOT_FOUND, "There is no such route";
    RUN_NOT_FOUND = "run_not_found", NOT_FOUND, "There is no such run";
    SERVER_NOT_FOUND = "server_not_found", NOT_FOUND, "There is no such server";
    SETTING_NOT_FOUND = "setting_not_found", NOT_FOUND, "There is no such setting";
    METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED, "The route does not have this method";
    BODY_TIMEOUT = "body_timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    CONFLICT = "conflict", CONFLICT, "The resource is in another state or exists already";
    MEMORY_PINNED = "memory_pinned", CONFLICT, "Pinned models hold the memory";
    MESSAGE_BUSY = "message_busy", CONFLICT, "A run is writing the message";
    MODEL_BUSY = "model_busy", CONFLICT, "The model is in use";
    MODEL_STOPPED = "model_stopped", CONFLICT, "A user stopped the model in the meantime";
    PERSONA_NAME_TAKEN = "persona_name_taken", CONFLICT, "A persona with this name exists already";
    PORT_IN_USE = "port_in_use", CONFLICT, "A program listens on the port";
    PROFILE_NAME_TAKEN = "profile_name_taken", CONFLICT, "A profile with this name exists already";
    PROFILE_PORT_TAKEN = "profile_port_taken", CONFLICT, "Another profile has the port";
    PROMPT_NAME_TAKEN = "prompt_name_taken", CONFLICT, "A prompt with this name exists already";
    RESPONSE_NOT_REPEATABLE = "response_not_repeatable", CONFLICT, "The response cannot be continued or regenerated";
    SERVER_BUSY = "server_busy", CONFLICT, "The server has running requests";
    SETTING_LOCKED = "setting_locked", CONFLICT, "A flag or an environment variable sets the value";
    ATTACHMENT_TOO_LARGE = "attachment_too_large", PAYLOAD_TOO_LARGE, "An attachment is too large";
    BODY_TOO_LARGE = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The content type is not JSON";
    QUEUE_FULL = "queue_full", TOO_MANY_REQUESTS, "Too many requests wait already";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "The gateway failed";
    FILES_FAILED = "files_failed", INTERNAL_SERVER_ERROR, "A file cannot be read or written";
    STORED_VALUE_UNREADABLE = "stored_value_unreadable", INTERNAL_SERVER_ERROR, "A stored value is not readable";
    HUB_FAILED = "hub_failed", BAD_GATEWAY, "The hub failed";
    HUB_UNREACHABLE = "hub_unreachable", BAD_GATEWAY, "The hub is not reachable";
    RESPONSE_FAILED = "response_failed", BAD_GATEWAY, "The response could not be computed";
    DATABASE_FAILED = "database_failed", SERVICE_UNAVAILABLE, "The database failed";
    HUB_OFFLINE = "hub_offline", SERVICE_UNAVAILABLE, "Offline mode is on";
    MODEL_CANNOT_START = "model_cannot_start", SERVICE_UNAVAILABLE, "The model cannot be started";
    QUEUE_TIMEOUT = "queue_timeout", SERVICE_UNAVAILABLE, "No memory became free in time";
    SHUTTING_DOWN = "shutting_down", SERVICE_UNAVAILABLE, "The gateway is shutting down";
    ATTACHMENTS_FULL = "attachments_full", INSUFFICIENT_STORAGE, "The attachments are too large together";
    DISK_FULL = "disk_full", INSUFFICIENT_STORAGE, "There is not enough disk space";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn documentation_lists_every_code_with_its_status() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api-errors.md");
        let text = std::fs::read_to_string(path).unwrap();
        let table = text
            .lines()
            .skip_while(|line| *line != "| code | status | title |");
        let documented: BTreeSet<&str> = table.filter(|line| line.starts_with("| `")).collect();
        let expected: BTreeSet<String> = Code::ALL
            .iter()
            .map(|code| {
                format!(
                    "| `{}` | {} | {} |",
                    code.name,
                    code.status.as_u16(),
                    code.title
                )
            })
            .collect();
        assert_eq!(documented, expected.iter().map(String::as_str).collect());
    }

    #[test]
    fn codes_are_unique() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
