//! The stream of a client that follows a log: the history, and then new lines.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use mlxm_gateway::LogTail;

use super::line::LineFilter;
use super::{INTERVAL, LogSource, new_lines, read_lines};
use crate::gateway::events::bus::{Bus, Message, Reader};
use crate::gateway::events::stream::{KEEPALIVE, keepalive, stream_of, to_bytes};
use crate::wire::events::{Event, LogEvent};

struct Follower {
    source: LogSource,
    filter: LineFilter,
    tail: LogTail,
    pending: VecDeque<Bytes>,
    /// Without topics: it ends when the gateway exits.
    exit: Reader,
    quiet: Duration,
}

/// `history` and then the lines of `tail`, until the gateway exits. The log is read only as fast as the client takes the lines.
pub fn response(
    bus: &Bus,
    source: LogSource,
    history: Vec<LogEvent>,
    tail: LogTail,
    filter: LineFilter,
) -> Response {
    let follower = Follower {
        source,
        filter,
        tail,
        pending: history.into_iter().map(event).collect(),
        exit: bus.subscribe(BTreeSet::new(), None),
        quiet: Duration::ZERO,
    };
    stream_of(stream::unfold(follower, Follower::next))
}

impl Follower {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                self.quiet = Duration::ZERO;
                return Some((bytes, self));
            }
            if self.quiet >= KEEPALIVE {
                self.quiet = Duration::ZERO;
                return Some((keepalive(), self));
            }
            tokio::select! {
                _ = self.exit.next() => return None,
                () = tokio::time::sleep(INTERVAL) => self.quiet += INTERVAL,
            }
            let (tail, lines) = new_lines(self.tail).await;
            self.tail = tail?;
            match lines {
                Ok(lines) => {
                    let lines = read_lines(self.source, &lines, &self.filter);
                    self.pending.extend(lines.into_iter().map(event));
                }
                Err(error) => {
                    tracing::warn!(source = %self.source, %error, "a log cannot be read");
                    return None;
                }
            }
        }
    }
}

fn event(line: LogEvent) -> Bytes {
    // Strings and numbers are always valid JSON.
    let data = serde_json::to_string(&Event::Logs(line)).unwrap_or_default();
    to_bytes(&Message {
        id: None,
        data: data.into(),
    })
}
