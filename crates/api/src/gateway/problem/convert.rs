//! Problems from the errors of other modules and crates.

use axum::http::StatusCode;
use mlxm_hub::HubError;
use mlxm_store::StoreError;

use super::{ApiProblem, Code};
use crate::error::ApiError;
use crate::gateway::settings::SettingsError;

/// After how many seconds a retry may succeed when something is overloaded.
const RETRY_SECONDS: u64 = 5;

impl From<StoreError> for ApiProblem {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Conflict { noun, field, .. } => {
                let code = match (noun, field) {
                    ("profile", "name") => Code::PROFILE_NAME_TAKEN,
                    ("profile", "port") => Code::PROFILE_PORT_TAKEN,
                    ("persona", "name") => Code::PERSONA_NAME_TAKEN,
                    ("prompt", "name") => Code::PROMPT_NAME_TAKEN,
                    _ => Code::CONFLICT,
                };
                Self::new(code, message.clone()).with_field(field, "taken", message)
            }
            StoreError::NotFound { noun, .. } => {
                let code = match noun {
                    "profile" => Code::PROFILE_NOT_FOUND,
                    "alias" => Code::ALIAS_NOT_FOUND,
                    "download" => Code::DOWNLOAD_NOT_FOUND,
                    "server" => Code::SERVER_NOT_FOUND,
                    "request" => Code::AUDIT_ROW_NOT_FOUND,
                    "chat" => Code::CHAT_NOT_FOUND,
                    "message" => Code::MESSAGE_NOT_FOUND,
                    "run" => Code::RUN_NOT_FOUND,
                    "attachment" => Code::ATTACHMENT_NOT_FOUND,
                    "persona" => Code::PERSONA_NOT_FOUND,
                    "prompt" => Code::PROMPT_NOT_FOUND,
                    _ => Code::NOT_FOUND,
                };
                Self::new(code, message)
            }
            StoreError::Busy { .. } => Self::new(Code::MESSAGE_BUSY, message)
                .with_advice("wait until the response is complete, or stop it"),
            StoreError::Followed { .. } => Self::new(Code::RESPONSE_NOT_REPEATABLE, message)
                .with_advice("regenerate the response, or continue the last one of its branch"),
            StoreError::Invalid { field, reason } => Self::field(field, "invalid_value", reason),
            StoreError::Unreadable { .. } | StoreError::Secret(_) => {
                Self::new(Code::STORED_VALUE_UNREADABLE, message)
            }
            StoreError::Io { .. } | StoreError::Exists { .. } => {
                Self::new(Code::FILES_FAILED, message)
            }
            StoreError::Database(_) => {
                Self::new(Code::DATABASE_FAILED, message).retry_after(RETRY_SECONDS)
            }
            _ => Self::new(Code::INTERNAL, message),
        }
    }
}

impl From<SettingsError> for ApiProblem {
    fn from(error: SettingsError) -> Self {
        let message = error.to_string();
        match error {
            SettingsError::Unknown { key, .. } => Self::new(
                Code::SETTING_NOT_FOUND,
                message.clone(),
            )
            .with_field(format!("values.{key}"), "unknown_setting", message),
            SettingsError::Invalid { key, .. } => {
                Self::field(format!("values.{key}"), "invalid_value", message)
            }
            SettingsError::Locked { key, .. } => Self::new(Code::SETTING_LOCKED, message.clone())
                .with_field(format!("values.{key}"), "locked", message),
            SettingsError::Resolve(_) => Self::new(Code::STORED_VALUE_UNREADABLE, message),
            SettingsError::Store(error) => Self::from(error),
        }
    }
}

impl From<HubError> for ApiProblem {
    fn from(error: HubError) -> Self {
        let message = error.to_string();
        let code = match &error {
            HubError::InvalidRepoId { .. } => {
                return Self::field("repo_id", "invalid_value", message);
            }
            HubError::InvalidPattern { .. } | HubError::NoMatchingFiles { .. } => {
                Code::INVALID_REQUEST
            }
            HubError::Offline { .. } => Code::HUB_OFFLINE,
            HubError::RepoNotFound { .. }
            | HubError::RevisionNotFound { .. }
            | HubError::FileNotFound { .. }
            | HubError::NoLocalModel { .. } => Code::MODEL_NOT_FOUND,
            HubError::Gated { .. } | HubError::Unauthorized { .. } => Code::HUB_DENIED,
            HubError::Network { .. } => Code::HUB_UNREACHABLE,
            HubError::DiskFull { .. } => Code::DISK_FULL,
            HubError::NotWritable { .. } | HubError::Io { .. } => Code::FILES_FAILED,
            HubError::UnsupportedWeights { .. } => Code::UNSUPPORTED_WEIGHTS,
            HubError::Busy { .. } => Code::MODEL_BUSY,
            HubError::Cancelled | HubError::LinkedElsewhere { .. } => Code::CONFLICT,
            HubError::InvalidConfig(_) => Code::INTERNAL,
            // Responses of the hub, and downloads that failed because of them.
            _ => Code::HUB_FAILED,
        };
        let problem = Self::new(code, message);
        match error.retry_after() {
            Some(time) => problem.retry_after(time.as_secs()),
            None => problem,
        }
    }
}

/// Errors of the layers that all routes of the gateway share.
impl From<&ApiError> for ApiProblem {
    fn from(error: &ApiError) -> Self {
        let code = match error.status() {
            StatusCode::UNAUTHORIZED => Code::UNAUTHORIZED,
            StatusCode::FORBIDDEN => Code::FORBIDDEN,
            StatusCode::NOT_FOUND => Code::ROUTE_NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED => Code::METHOD_NOT_ALLOWED,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BODY_TOO_LARGE,
            status if status.is_client_error() => Code::INVALID_REQUEST,
            _ => Code::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}
