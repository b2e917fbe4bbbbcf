//! The bus: all events, and their readers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::history::{EventId, History, Resumed};
use super::logs::LogSource;
use super::mailbox::{Delivery, Mailbox};
use super::topics::{Route, TopicName};
use crate::wire::events::{Event, ResetEvent};

/// Chats of which events are kept, for readers that reconnect.
const MAX_CHATS: usize = 64;

/// Passes events from where they happen to everyone who shows them. Clones refer to the same bus.
///
/// Publishing never waits: it appends to the mailbox of each reader under a lock that is held for microseconds.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    watched: watch::Sender<BTreeSet<TopicName>>,
}

struct State {
    history: History<TopicName>,
    readers: BTreeMap<u64, Subscriber>,
    next_reader: u64,
    is_closed: bool,
}

struct Subscriber {
    mailbox: Mailbox<TopicName>,
    ready: Arc<Notify>,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bus").finish_non_exhaustive()
    }
}

impl Bus {
    /// A bus without readers. Its ids differ from those of any earlier one.
    pub fn new() -> Self {
        let (epoch, _) = Uuid::new_v4().as_u64_pair();
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                history: History::new(epoch),
                readers: BTreeMap::new(),
                next_reader: 0,
                is_closed: false,
            }),
            watched: watch::Sender::default(),
        }))
    }

    /// Sends an event to all readers of its topic, and keeps it for those that reconnect. A measurement is not kept. Does nothing
    /// with [`Event::Reset`], which the bus itself sends.
    pub fn publish(&self, event: Event) {
        let Some(route) = Route::of(&event) else {
            return;
        };
        let sample = route.sample_key();
        if sample.is_some() && !self.0.watched.borrow().contains(&route.topic) {
            return;
        }
        let data: Arc<str> = match serde_json::to_string(&event) {
            Ok(json) => json.into(),
            Err(error) => {
                tracing::error!(topic = %route.topic, %error, "an event is not valid JSON");
                return;
            }
        };
        let mut state = self.0.lock();
        let State {
            history, readers, ..
        } = &mut *state;
        let is_new_chat = matches!(route.topic, TopicName::Chat(_)) && !history.has(&route.topic);
        let frame = sample
            .is_none()
            .then(|| history.record(&route.topic, Arc::clone(&data)));
        if is_new_chat {
            history.keep_latest(|topic| matches!(topic, TopicName::Chat(_)), MAX_CHATS);
        }
        for reader in readers.values_mut() {
            let is_wanted = match (&frame, sample) {
                (Some(frame), _) => reader
                    .mailbox
                    .push_event(&route.topic, route.subject, frame),
                (None, Some(key)) => reader.mailbox.push_sample(&route.topic, key, &data),
                (None, None) => false,
            };
            if is_wanted {
                reader.ready.notify_one();
            }
        }
    }

    /// Events of `topics` from now on, and those after `last` if the reader has read before.
    pub fn subscribe(&self, topics: BTreeSet<TopicName>, last: Option<EventId>) -> Reader {
        let mut state = self.0.lock();
        let mut resumed =
            last.map_or_else(Resumed::default, |last| state.history.resume(&topics, last));
        if let Some(last) = last {
            let unknown = |topic: &&TopicName| match topic {
                // No one has followed this log since.
                TopicName::Log(_) => !state.history.has(topic),
                TopicName::Chat(_) => state.history.may_have_removed(topic, last),
                TopicName::Shared(_) => false,
            };
            resumed.reset.extend(topics.iter().filter(unknown).copied());
        }
        let ready = Arc::new(Notify::new());
        let start = state.history.position();
        let id = state.next_reader;
        state.next_reader += 1;
        let subscriber = Subscriber {
            mailbox: Mailbox::new(topics, resumed),
            ready: Arc::clone(&ready),
        };
        state.readers.insert(id, subscriber);
        self.0.update_watched(&state);
        Reader {
            shared: Arc::clone(&self.0),
            ready,
            id,
            start,
        }
    }

    /// The id of the latest event: a client that read a snapshot after this resumes here, and misses nothing.
    pub fn position(&self) -> EventId {
        self.0.lock().history.position()
    }

    /// The topics that have readers. Measurements for others are not needed.
    pub fn watched(&self) -> watch::Receiver<BTreeSet<TopicName>> {
        self.0.watched.subscribe()
    }

    /// From now on all lines of a log are published; earlier ones may be missing.
    pub fn begin_log(&self, source: LogSource) {
        self.0.lock().history.forget(&TopicName::Log(source));
    }

    /// No more lines of a log are published.
    pub fn end_log(&self, source: LogSource) {
        self.0.lock().history.remove(&TopicName::Log(source));
    }

    /// Ends all readers, also future ones: the gateway exits.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        for reader in state.readers.values() {
            reader.ready.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with the lock held, so that the last of two changes wins.
    fn update_watched(&self, state: &State) {
        let topics = state.readers.values();
        let watched: BTreeSet<TopicName> = topics
            .flat_map(|reader| reader.mailbox.topics().iter().copied())
            .collect();
        self.watched.send_if_modified(|current| {
            let is_changed = *current != watched;
            *current = watched;
            is_changed
        });
    }
}

/// An event as it is sent to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// A reader that has this message resumes with it; `None` for a measurement.
    pub id: Option<EventId>,
    /// One line of JSON: an [`Event`].
    pub data: Arc<str>,
}

/// Reads the events of some topics. When it is dropped, they are no longer collected for it.
pub struct Reader {
    shared: Arc<Shared>,
    ready: Arc<Notify>,
    id: u64,
    start: EventId,
}

impl Reader {
    /// Where it began to read: a reader that resumes with this id gets the same events.
    pub fn start(&self) -> EventId {
        self.start
    }

    /// The next message; `None` when the gateway exits. If the future is dropped, nothing is lost.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            {
                let mut state = self.shared.lock();
                if state.is_closed {
                    return None;
                }
                let reader = state.readers.get_mut(&self.id)?;
                if let Some(delivery) = reader.mailbox.pop() {
                    return Some(message(&state.history, delivery));
                }
            }
            // A permit is kept if something came since.
            self.ready.notified().await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.readers.remove(&self.id);
        self.shared.update_watched(&state);
    }
}

fn message(history: &History<TopicName>, delivery: Delivery<TopicName>) -> Message {
    match delivery {
        Delivery::Event(frame) => Message {
            id: Some(history.id(frame.number)),
            data: frame.data,
        },
        Delivery::Sample(data) => Message { id: None, data },
        Delivery::Reset { topics, next } => {
            let topics = topics.iter().map(ToString::to_string).collect();
            // Strings in a structure are always valid JSON.
            let data = serde_json::to_string(&Event::Reset(ResetEvent { topics }));
            let before_next = |number: u64| history.id(number.saturating_sub(1));
            Message {
                id: Some(next.map_or_else(|| history.position(), before_next)),
                data: data.unwrap_or_default().into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::Value;

    use super::*;
    use crate::wire::events::{LogLevel, Notice, Topic};
    use crate::wire::system::SystemMemory;

    const NOTICES: TopicName = TopicName::Shared(Topic::Notices);
    const SYSTEM: TopicName = TopicName::Shared(Topic::System);

    fn notice(message: impl Into<String>) -> Event {
        Event::Notices(Notice {
            level: LogLevel::Info,
            code: "test".to_owned(),
            message: message.into(),
        })
    }

    /// What is there now.
    fn read(reader: &mut Reader) -> Vec<(Option<EventId>, Value)> {
        let mut messages = Vec::new();
        while let Some(Some(message)) = reader.next().now_or_never() {
            let json = serde_json::from_str(&message.data).unwrap();
            messages.push((message.id, json));
        }
        messages
    }

    fn texts(reader: &mut Reader) -> Vec<String> {
        let text = |(_, json): (_, Value)| json["event"]["message"].as_str().unwrap().to_owned();
        read(reader).into_iter().map(text).collect()
    }

    #[test]
    fn reader_gets_its_topics_and_resumes_where_it_was() {
        let bus = Bus::new();
        let mut reader = bus.subscribe([NOTICES].into(), None);
        bus.publish(notice("a"));
        bus.publish(Event::System(SystemMemory::default()));
        let messages = read(&mut reader);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].1["topic"], "notices");
        let last = messages[0].0;
        drop(reader);
        bus.publish(notice("b"));
        let mut reader = bus.subscribe([NOTICES, SYSTEM].into(), last);
        bus.publish(notice("c"));
        assert_eq!(texts(&mut reader), ["b", "c"]);
    }

    #[test]
    fn ids_of_an_earlier_start_are_reset() {
        let id = Bus::new().subscribe([NOTICES].into(), None).start();
        let bus = Bus::new();
        let mut reader = bus.subscribe([NOTICES, SYSTEM].into(), Some(id));
        let messages = read(&mut reader);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].1["topic"], "reset");
        assert_eq!(
            messages[0].1["event"]["topics"],
            serde_json::json!(["system", "notices"])
        );
        // With the id of the reset it resumes without another one.
        bus.publish(notice("a"));
        let mut reader = bus.subscribe([NOTICES].into(), messages[0].0);
        assert_eq!(texts(&mut reader), ["a"]);
    }

    #[test]
    fn slow_reader_gets_a_reset_and_does_not_slow_others() {
        let bus = Bus::new();
        let mut slow = bus.subscribe([NOTICES, SYSTEM].into(), None);
        let mut fast = bus.subscribe([NOTICES].into(), None);
        let mut received = 0;
        for number in 0..3_000 {
            bus.publish(notice(number.to_string()));
            bus.publish(Event::System(SystemMemory::default()));
            received += texts(&mut fast).len();
        }
        assert_eq!(received, 3_000);
        let messages = read(&mut slow);
        let topics = |json: &Value| json["event"]["topics"].clone();
        assert_eq!(topics(&messages[0].1), serde_json::json!(["notices"]));
        let samples = messages.iter().filter(|(id, _)| id.is_none()).count();
        assert_eq!(samples, 1);
    }

    #[test]
    fn watched_topics_follow_the_readers() {
        let bus = Bus::new();
        let mut watched = bus.watched();
        assert!(watched.borrow_and_update().is_empty());
        let first = bus.subscribe([NOTICES].into(), None);
        let second = bus.subscribe([NOTICES, SYSTEM].into(), None);
        assert_eq!(*watched.borrow_and_update(), [NOTICES, SYSTEM].into());
        drop(first);
        assert!(!watched.has_changed().unwrap());
        drop(second);
        assert!(watched.borrow().is_empty());
    }

    #[test]
    fn log_without_readers_is_reset() {
        let bus = Bus::new();
        let server = LogSource::Server(Uuid::from_u128(1));
        let topics = || BTreeSet::from([TopicName::Log(server)]);
        let mut reader = bus.subscribe(topics(), None);
        assert_eq!(read(&mut reader), []);
        bus.begin_log(server);
        let start = reader.start();
        assert_eq!(read(&mut bus.subscribe(topics(), Some(start))), []);
        bus.end_log(server);
        assert_eq!(read(&mut bus.subscribe(topics(), Some(start))).len(), 1);
    }

    #[tokio::test]
    async fn readers_end_with_the_gateway() {
        let bus = Bus::new();
        let mut reader = bus.subscribe([NOTICES].into(), None);
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        bus.close();
        assert_eq!(waiting.await.unwrap(), None);
        assert_eq!(bus.subscribe([NOTICES].into(), None).next().await, None);
    }
}
