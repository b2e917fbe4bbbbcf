//! The gateway's events and logs.

use std::time::Duration;

use mlxm_api::gateway::events::logs::LogSource;
use mlxm_api::wire::events::{Event, LogEvent};
use mlxm_api::wire::logs::{LogLines, LogQuery};

use super::api::{query, text};
use super::client::{Gateway, route};
use crate::interrupt::InterruptGuard;
use crate::remote::{RemoteError, Stream, StreamItem, StreamPoll};

/// How long to wait for the next event before checking for Ctrl-C again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A subscription.
pub struct Events {
    stream: Stream,
    url: String,
}

/// The result of waiting for an event.
#[derive(Debug)]
pub enum Received {
    /// An event.
    Event(Box<Event>),
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The gateway has closed the stream.
    Closed,
}

impl Gateway {
    /// Subscribes to topics, such as `servers`. Later events are not missed.
    pub fn subscribe(&self, topics: &[&str]) -> Result<Events, RemoteError> {
        let topics = topics.join(",");
        self.events(&route(&["api", "events"], &[("topics", &topics)]))
    }

    /// The last lines of a log.
    pub fn log(&self, source: LogSource, lines: &LogQuery) -> Result<Vec<LogEvent>, RemoteError> {
        Ok(self.get::<LogLines>(&log_route(source, lines))?.lines)
    }

    /// The last lines of a log, and then new ones.
    pub fn follow_log(&self, source: LogSource, lines: &LogQuery) -> Result<Events, RemoteError> {
        let lines = LogQuery {
            follow: true,
            ..lines.clone()
        };
        self.events(&log_route(source, &lines))
    }

    fn events(&self, route: &str) -> Result<Events, RemoteError> {
        Ok(Events {
            stream: self.client().events(route)?,
            url: self.url(),
        })
    }
}

fn log_route(source: LogSource, lines: &LogQuery) -> String {
    let route = match source {
        LogSource::Gateway => route(&["api", "logs"], &[]),
        LogSource::Server(id) => route(&["api", "servers", &id.to_string(), "logs"], &[]),
    };
    let parameters = query(&[
        ("lines", lines.lines.map(|count| count.to_string())),
        ("follow", Some(lines.follow.to_string())),
        ("level", lines.level.map(|level| text(&level))),
        ("search", lines.search.clone()),
    ]);
    format!("{route}{parameters}")
}

impl Events {
    /// Waits for the next event or Ctrl-C.
    pub fn next(&self, guard: &InterruptGuard) -> Result<Received, RemoteError> {
        loop {
            if guard.requested() {
                return Ok(Received::Interrupted);
            }
            if let Some(received) = self.poll(POLL_INTERVAL)? {
                return Ok(received);
            }
        }
    }

    /// The next event, if it arrives within this time.
    pub fn poll(&self, timeout: Duration) -> Result<Option<Received>, RemoteError> {
        match self.stream.next_timeout(timeout)? {
            StreamPoll::Item(StreamItem::Event(data, _)) => {
                let event = serde_json::from_str(&data);
                event
                    .map(|event| Some(Received::Event(Box::new(event))))
                    .map_err(|error| RemoteError::UnexpectedResponse {
                        url: self.url.clone(),
                        reason: error.to_string(),
                    })
            }
            StreamPoll::Item(StreamItem::Warning(_)) | StreamPoll::Pending => Ok(None),
            StreamPoll::Closed => Ok(Some(Received::Closed)),
        }
    }
}
