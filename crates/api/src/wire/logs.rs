//! Logs of servers and of the gateway.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::{LogEvent, LogLevel};

/// Which lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// The last lines that match: 200 if absent, at most 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Sends the lines as a stream of events, and then new ones.
    pub follow: bool,
    /// Only lines of this level and of more serious ones, and lines without a level, such as those of a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub level: Option<LogLevel>,
    /// Only lines with this text, in upper or lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// Lines of a log, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    /// The lines.
    pub lines: Vec<LogEvent>,
}
