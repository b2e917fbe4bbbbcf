//! Names of topics, and how the bus treats each event.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::logs::LogSource;
use super::mailbox::SampleKey;
use crate::wire::events::{DownloadEvent, Event, ServerEvent, Topic};

/// Topics without a part of their own, as clients name them.
const SHARED: [Topic; 13] = [
    Topic::Servers,
    Topic::Pool,
    Topic::Downloads,
    Topic::Models,
    Topic::System,
    Topic::Profiles,
    Topic::Aliases,
    Topic::Audit,
    Topic::Requests,
    Topic::Clients,
    Topic::Settings,
    Topic::Notices,
    Topic::Chats,
];

/// A topic that clients subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicName {
    /// Events of all servers, downloads and so on.
    Shared(Topic),
    /// The log of one server, `logs:{id}`, or of the gateway, `logs:gateway`.
    Log(LogSource),
    /// Messages and runs of one chat, `chat:{id}`.
    Chat(Uuid),
}

/// A name that is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a topic: use {list}, logs:ID with the id of a server or `gateway`, or chat:ID with the id of a chat",
    list = shared_names()
)]
pub struct UnknownTopic(String);

impl fmt::Display for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(topic) => formatter.write_str(name(*topic)),
            Self::Log(source) => write!(formatter, "{}:{source}", name(Topic::Logs)),
            Self::Chat(id) => write!(formatter, "{}:{id}", name(Topic::Chat)),
        }
    }
}

impl FromStr for TopicName {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let unknown = || UnknownTopic(text.to_owned());
        if let Some((prefix, subject)) = text.split_once(':') {
            let id = || Uuid::try_parse(subject).map_err(|_| unknown());
            return match (prefix, subject) {
                ("logs", "gateway") => Ok(Self::Log(LogSource::Gateway)),
                ("logs", _) => Ok(Self::Log(LogSource::Server(id()?))),
                ("chat", _) => Ok(Self::Chat(id()?)),
                _ => Err(unknown()),
            };
        }
        let shared = SHARED.into_iter().find(|topic| name(*topic) == text);
        shared.map(Self::Shared).ok_or_else(unknown)
    }
}

/// The topics in a list with commas.
///
/// # Errors
/// The first name that is not a topic.
pub fn parse_topics(list: &str) -> Result<BTreeSet<TopicName>, UnknownTopic> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::parse::<TopicName>)
        .collect()
}

/// The names of all topics but those of one log or chat.
pub fn shared_names() -> String {
    SHARED.map(name).join(", ")
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Servers => "servers",
        Topic::Pool => "pool",
        Topic::Downloads => "downloads",
        Topic::Models => "models",
        Topic::System => "system",
        Topic::Profiles => "profiles",
        Topic::Aliases => "aliases",
        Topic::Logs => "logs",
        Topic::Audit => "audit",
        Topic::Requests => "requests",
        Topic::Clients => "clients",
        Topic::Settings => "settings",
        Topic::Notices => "notices",
        Topic::Chats => "chats",
        Topic::Chat => "chat",
    }
}

/// How the bus treats an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its topic.
    pub topic: TopicName,
    /// The server or download that it is about.
    pub subject: Option<Uuid>,
    /// For a measurement, of which only the latest counts: what is measured.
    pub sample: Option<&'static str>,
}

impl Route {
    /// The route of an event; `None` for one that only the bus itself sends.
    pub fn of(event: &Event) -> Option<Self> {
        let topic = match event {
            Event::Logs(line) => TopicName::Log(line.server.into()),
            Event::Chat(event) => TopicName::Chat(event.chat),
            other => TopicName::Shared(other.topic()?),
        };
        let (subject, sample) = match event {
            Event::Servers(event) => server(event),
            Event::Downloads(event) => download(event),
            Event::System(_) => (None, Some("memory")),
            Event::Requests(event) => (Some(event.server), Some("requests")),
            _ => (None, None),
        };
        Some(Self {
            topic,
            subject,
            sample,
        })
    }

    /// The key of a measurement.
    pub fn sample_key(&self) -> Option<SampleKey> {
        let subject = self.subject;
        self.sample.map(|kind| SampleKey { subject, kind })
    }
}

fn server(event: &ServerEvent) -> (Option<Uuid>, Option<&'static str>) {
    match event {
        ServerEvent::Changed { server } => (Some(server.id), None),
        ServerEvent::Exited { id, .. } => (Some(*id), None),
        // A number that need not change again is no measurement.
        ServerEvent::Running { .. } => (None, None),
        ServerEvent::Loading { id, .. } => (Some(*id), Some("loading")),
        ServerEvent::Metrics { id, .. } => (Some(*id), Some("metrics")),
    }
}

fn download(event: &DownloadEvent) -> (Option<Uuid>, Option<&'static str>) {
    match event {
        DownloadEvent::Changed { download } => (Some(download.id), None),
        DownloadEvent::Removed { id } => (Some(*id), None),
        DownloadEvent::Progress { id, .. } => (Some(*id), Some("progress")),
        DownloadEvent::Reordered { .. } => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::events::ResetEvent;

    #[test]
    fn names_round_trip() {
        let logs = [LogSource::Gateway, LogSource::Server(Uuid::from_u128(7))];
        let logs = logs.map(TopicName::Log);
        let chat = TopicName::Chat(Uuid::from_u128(8));
        for topic in SHARED
            .into_iter()
            .map(TopicName::Shared)
            .chain(logs)
            .chain([chat])
        {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        let json = serde_json::to_value(SHARED).unwrap();
        assert_eq!(json, serde_json::json!(SHARED.map(name)));
    }

    #[test]
    fn lists_may_have_spaces_and_errors_name_the_topics() {
        let topics = parse_topics("pool, servers,,").unwrap();
        assert_eq!(topics.len(), 2);
        for list in [
            "servers,pol",
            "logs",
            "logs:7",
            "pool:gateway",
            "chat:gateway",
            "chat",
            "pool:00000000-0000-0000-0000-000000000001",
        ] {
            let message = parse_topics(list).unwrap_err().to_string();
            assert!(
                message.contains("servers, pool") && message.contains("logs:ID"),
                "{message}"
            );
        }
    }

    #[test]
    fn events_of_the_bus_itself_have_no_route() {
        assert_eq!(Route::of(&Event::Reset(ResetEvent::default())), None);
    }
}
