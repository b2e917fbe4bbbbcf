//! Events of `GET /api/events`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::aliases::Alias;
use super::audit::AuditRow;
use super::chats::{ChatEvent, ChatsEvent};
use super::clients::ClientActivity;
use super::downloads::Download;
use super::models::LocalModel;
use super::pool::PoolStatus;
use super::profiles::Profile;
use super::requests::ServerRequests;
use super::servers::{Server, ServerMetrics};
use super::settings::Setting;
use super::system::SystemMemory;

/// An event, in the JSON `{"topic": "servers", "event": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "topic", content = "event", rename_all = "snake_case")]
pub enum Event {
    /// Servers were started, changed or ended.
    Servers(ServerEvent),
    /// The pool's budget, its use or its queue changed.
    Pool(PoolStatus),
    /// Downloads changed.
    Downloads(DownloadEvent),
    /// Models on this machine changed.
    Models(ModelEvent),
    /// The memory of the machine.
    System(SystemMemory),
    /// Profiles changed.
    Profiles(ProfileEvent),
    /// Aliases changed.
    Aliases(AliasEvent),
    /// A line of a log.
    Logs(LogEvent),
    /// A request has ended.
    Audit(Box<AuditRow>),
    /// The requests of a server that have not ended: a sample, of which only the newest counts.
    Requests(ServerRequests),
    /// A request of a client has ended.
    Clients(Box<ClientActivity>),
    /// A setting changed.
    Settings(Box<Setting>),
    /// Something that a user should know.
    Notices(Notice),
    /// Chats were added, changed or deleted.
    Chats(ChatsEvent),
    /// Messages or runs of a chat changed.
    Chat(ChatEvent),
    /// Events were lost: the client reads the lists of these topics again.
    Reset(ResetEvent),
}

/// What a client subscribes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Names of topics with commas between them, `logs:{id}` for the log of a server, `logs:gateway`, and `chat:{id}` for a chat.
    pub topics: String,
    /// The id of the last event that the client has, where it cannot send the header `Last-Event-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_id: Option<String>,
}

/// A topic of events, as clients subscribe to it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Changes of servers.
    Servers,
    /// The pool's budget, its use and its queue.
    Pool,
    /// Changes of downloads.
    Downloads,
    /// Changes of the models on this machine.
    Models,
    /// The memory of the machine.
    System,
    /// Changes of profiles.
    Profiles,
    /// Changes of aliases.
    Aliases,
    /// Lines of one server in `logs:{id}`, and of the gateway in `logs:gateway`.
    Logs,
    /// Requests that have ended.
    Audit,
    /// Requests that have not ended.
    Requests,
    /// What clients have done.
    Clients,
    /// Changes of settings.
    Settings,
    /// What a user should know.
    Notices,
    /// Changes of chats, as lists show them.
    Chats,
    /// Messages and runs of one chat in `chat:{id}`.
    Chat,
}

impl Event {
    /// Its topic; `None` for [`Event::Reset`], which concerns several.
    pub fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::Servers(_) => Topic::Servers,
            Self::Pool(_) => Topic::Pool,
            Self::Downloads(_) => Topic::Downloads,
            Self::Models(_) => Topic::Models,
            Self::System(_) => Topic::System,
            Self::Profiles(_) => Topic::Profiles,
            Self::Aliases(_) => Topic::Aliases,
            Self::Logs(_) => Topic::Logs,
            Self::Audit(_) => Topic::Audit,
            Self::Requests(_) => Topic::Requests,
            Self::Clients(_) => Topic::Clients,
            Self::Settings(_) => Topic::Settings,
            Self::Notices(_) => Topic::Notices,
            Self::Chats(_) => Topic::Chats,
            Self::Chat(_) => Topic::Chat,
            Self::Reset(_) => return None,
        })
    }
}

/// A change of the servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerEvent {
    /// It was added, or its state or another field changed.
    Changed {
        /// The server.
        server: Box<Server>,
    },
    /// Progress of loading.
    Loading {
        /// The server.
        id: Uuid,
        /// Bytes of weights that are loaded.
        loaded_bytes: u64,
        /// Bytes of all weights.
        total_bytes: u64,
    },
    /// The number of running requests changed.
    Running {
        /// The server.
        id: Uuid,
        /// Running requests.
        running: u64,
    },
    /// Its process has exited.
    Exited {
        /// The server.
        id: Uuid,
        /// Stable name of the cause, such as `killed_externally`.
        cause: String,
        /// The cause in one line.
        message: String,
        /// The last lines of its log, as text.
        log_tail: Vec<String>,
    },
    /// What it uses and does: a sample, of which only the newest counts.
    Metrics {
        /// The server.
        id: Uuid,
        /// The measurement.
        metrics: ServerMetrics,
    },
}

/// A change of the downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DownloadEvent {
    /// It was added, or its state changed.
    Changed {
        /// The download.
        download: Box<Download>,
    },
    /// Its progress: a sample, of which only the newest counts.
    Progress {
        /// The download.
        id: Uuid,
        /// Bytes that are on the disk.
        done_bytes: u64,
        /// Bytes of all files, once they are known.
        total_bytes: Option<u64>,
        /// Speed of the last seconds.
        bytes_per_second: Option<u64>,
    },
    /// Its row was removed.
    Removed {
        /// The download.
        id: Uuid,
    },
    /// The order of the queue changed.
    Reordered {
        /// All downloads, in the new order.
        ids: Vec<Uuid>,
    },
}

/// A change of the models on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ModelEvent {
    /// It was added, or changed.
    Changed {
        /// The model.
        model: Box<LocalModel>,
    },
    /// It was removed.
    Removed {
        /// Its name.
        name: String,
    },
}

/// A change of the profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProfileEvent {
    /// It was added, or changed.
    Changed {
        /// The profile.
        profile: Box<Profile>,
    },
    /// It was removed.
    Removed {
        /// Its id.
        id: Uuid,
    },
}

/// A change of the aliases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AliasEvent {
    /// It was added, or its target changed.
    Changed {
        /// The alias.
        alias: Alias,
    },
    /// It was removed.
    Removed {
        /// Its name.
        name: String,
    },
}

/// The level of a line of a log.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Details for developers.
    Trace,
    /// Details.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEvent {
    /// The server; null for the gateway's own log.
    pub server: Option<Uuid>,
    /// Its time, if the line has one.
    pub at_ms: Option<i64>,
    /// Its level; null for lines of other origin, such as those of a crash.
    pub level: Option<LogLevel>,
    /// The line without time and level.
    pub message: String,
    /// When the log had been rotated before the line was written; 0 if never.
    pub rotated_at_ms: i64,
    /// Bytes before the line since then. A client that has the history of a log drops live lines that are not later, by
    /// `rotated_at_ms` and then by `offset`.
    pub offset: u64,
}

/// Something that a user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// How serious it is.
    pub level: LogLevel,
    /// Stable name, such as `disk_full`.
    pub code: String,
    /// What happened, and what to do next.
    pub message: String,
}

/// Topics whose events were lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetEvent {
    /// The topics as the client has subscribed to them, such as `servers` or `logs:{id}`.
    pub topics: Vec<String>,
}
