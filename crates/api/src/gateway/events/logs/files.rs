//! Where logs are.

use std::fmt;
use std::path::{Path, PathBuf};

use mlxm_gateway::LogFile;
use uuid::Uuid;

use crate::gateway::settings::{LOG_FILE, NO_LOG_FILE, SettingsHandle};

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogSource {
    /// The gateway.
    Gateway,
    /// A server.
    Server(Uuid),
}

impl LogSource {
    /// The id of the server.
    pub fn server(self) -> Option<Uuid> {
        match self {
            Self::Gateway => None,
            Self::Server(id) => Some(id),
        }
    }
}

impl From<Option<Uuid>> for LogSource {
    fn from(server: Option<Uuid>) -> Self {
        server.map_or(Self::Gateway, Self::Server)
    }
}

impl fmt::Display for LogSource {
    /// As in the names of topics.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => formatter.write_str("gateway"),
            Self::Server(id) => fmt::Display::fmt(id, formatter),
        }
    }
}

/// The log files of a gateway and its servers.
#[derive(Debug, Clone)]
pub struct LogFiles {
    directory: PathBuf,
    own: Option<LogFile>,
}

impl LogFiles {
    /// Those of servers in `directory`, and the gateway's own.
    pub fn new(directory: PathBuf, own: Option<LogFile>) -> Self {
        Self { directory, own }
    }

    /// Those in the home directory, with the gateway's own as it was set at the start.
    pub fn of_settings(home: &Path, settings: &SettingsHandle) -> Self {
        let path = settings.at_start(&LOG_FILE);
        let own = match path.as_ref().and_then(serde_json::Value::as_str) {
            Some(NO_LOG_FILE) => None,
            Some(path) if !path.is_empty() => Some(LogFile::at(path)),
            _ => Some(LogFile::at(default_log_file(home))),
        };
        Self::new(log_directory(home), own)
    }

    /// The gateway's own log, if it is written to a file.
    pub fn own(&self) -> Option<&LogFile> {
        self.own.as_ref()
    }

    /// A log; `None` if the gateway's own is not written to a file.
    pub fn of(&self, source: LogSource) -> Option<LogFile> {
        match source {
            LogSource::Gateway => self.own.clone(),
            LogSource::Server(id) => Some(LogFile::new(&self.directory, id)),
        }
    }
}

/// The directory of the logs of all workers.
pub fn log_directory(home: &Path) -> PathBuf {
    home.join("logs")
}

/// The gateway's own log, unless the setting `logs.file` says otherwise.
pub fn default_log_file(home: &Path) -> PathBuf {
    log_directory(home).join("gateway.log")
}
