//! The topics `logs:{server}` and `logs:gateway`: lines are published while someone follows the log.

use std::collections::BTreeSet;
use std::time::Duration;

use mlxm_gateway::{LogFile, LogTail};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::line::LineFilter;
use super::{HISTORY_LINES, INTERVAL, LogFiles, LogSource, history, new_lines, read_lines};
use crate::gateway::events::bus::Bus;
use crate::gateway::events::topics::TopicName;
use crate::wire::events::{Event, LogEvent};

/// How long a log is read after its last reader has left, so that one that reconnects misses nothing.
const LINGER: Duration = Duration::from_secs(10);

/// Publishes the lines of each log that someone follows, beginning with the last ones, until the gateway exits.
pub async fn publish_logs(bus: Bus, files: LogFiles) {
    let mut exit = bus.subscribe(BTreeSet::new(), None);
    let mut watched = bus.watched();
    let mut followed = BTreeSet::new();
    let mut tails = JoinSet::new();
    loop {
        let sources: Vec<LogSource> = watched
            .borrow_and_update()
            .iter()
            .filter_map(log_of)
            .collect();
        for source in sources {
            let Some(log) = files.of(source) else {
                continue;
            };
            if followed.insert(source) {
                tails.spawn(publish(bus.clone(), log, source));
            }
        }
        tokio::select! {
            _ = exit.next() => return,
            changed = watched.changed() => if changed.is_err() { return },
            Some(ended) = tails.join_next() => if let Ok(source) = ended {
                bus.end_log(source);
                followed.remove(&source);
            },
        }
    }
}

fn log_of(topic: &TopicName) -> Option<LogSource> {
    match topic {
        TopicName::Log(source) => Some(*source),
        TopicName::Shared(_) | TopicName::Chat(_) => None,
    }
}

/// Publishes the lines of a log until it has had no reader for some time. Returns whose log it is.
async fn publish(bus: Bus, log: LogFile, source: LogSource) -> LogSource {
    let everything = LineFilter::default();
    let topic = TopicName::Log(source);
    let watched = bus.watched();
    bus.begin_log(source);
    let Ok(history) = history(&log, source, HISTORY_LINES, &everything)
        .await
        .inspect_err(|error| warn(source, error))
    else {
        return source;
    };
    let send = |lines: Vec<LogEvent>| {
        for line in lines {
            bus.publish(Event::Logs(line));
        }
    };
    send(read_lines(source, &history.lines, &everything));
    let mut tail = LogTail::from(log, history.end);
    let mut last_watched = Instant::now();
    loop {
        tokio::time::sleep(INTERVAL).await;
        if watched.borrow().contains(&topic) {
            last_watched = Instant::now();
        } else if last_watched.elapsed() > LINGER {
            return source;
        }
        let (next, lines) = new_lines(tail).await;
        match (next, lines.inspect_err(|error| warn(source, error))) {
            (Some(next), Ok(lines)) => {
                tail = next;
                send(read_lines(source, &lines, &everything));
            }
            _ => return source,
        }
    }
}

fn warn(source: LogSource, error: &std::io::Error) {
    tracing::warn!(%source, %error, "a log cannot be read");
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use uuid::Uuid;

    use super::*;

    async fn messages(reader: &mut crate::gateway::events::Reader, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let message = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
            let json: serde_json::Value =
                serde_json::from_str(&message.unwrap().unwrap().data).unwrap();
            messages.push(json["event"]["message"].as_str().unwrap().to_owned());
        }
        messages
    }

    #[tokio::test]
    async fn topic_begins_with_the_last_lines_and_continues_across_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let source = LogSource::Server(Uuid::from_u128(1));
        let files = LogFiles::new(directory.path().to_owned(), None);
        let log = files.of(source).unwrap();
        let mut writer = log.open().unwrap();
        for line in 0..=HISTORY_LINES {
            writeln!(writer, "old {line}").unwrap();
        }
        let bus = Bus::new();
        let task = tokio::spawn(publish_logs(bus.clone(), files));
        let mut reader = bus.subscribe([TopicName::Log(source)].into(), None);
        let old = messages(&mut reader, HISTORY_LINES).await;
        assert_eq!((old[0].as_str(), old[199].as_str()), ("old 1", "old 200"));
        writeln!(writer, "new").unwrap();
        assert_eq!(messages(&mut reader, 1).await, ["new"]);
        writeln!(writer, "before").unwrap();
        assert!(log.rotate(1).unwrap());
        writeln!(writer, "after").unwrap();
        assert_eq!(messages(&mut reader, 2).await, ["before", "after"]);
        bus.close();
        task.await.unwrap();
    }
}
