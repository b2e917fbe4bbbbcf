//! The latest events of each topic, from which a reader that reconnects resumes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most events that are kept of a topic.
pub const MAX_EVENTS: usize = 2_000;
/// Most bytes of payloads that are kept of a topic. The latest event is always kept.
pub const MAX_BYTES: usize = 1 << 20;

/// Identifies an event: which start of the gateway, and its number since then. As text `EPOCH-NUMBER`, with a hexadecimal epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Different for each start of a gateway.
    pub epoch: u64,
    /// Counts the events of all topics, from 1.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{}", self.epoch, self.number)
    }
}

/// A text that is not an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (epoch, number) = text.trim().split_once('-').ok_or(InvalidEventId)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| InvalidEventId)?,
            number: number.parse().map_err(|_| InvalidEventId)?,
        })
    }
}

/// An event as it is sent: its number and its payload as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The number of its [`EventId`].
    pub number: u64,
    /// One line of JSON.
    pub data: Arc<str>,
}

/// What a reader that resumes gets first.
#[derive(Debug, PartialEq, Eq)]
pub struct Resumed<T> {
    /// The events that it missed, oldest first.
    pub missed: Vec<Frame>,
    /// Topics of which some missed events are no longer known.
    pub reset: BTreeSet<T>,
}

impl<T> Default for Resumed<T> {
    fn default() -> Self {
        Self {
            missed: Vec::new(),
            reset: BTreeSet::new(),
        }
    }
}

/// The kept events of one topic.
#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Events up to this number are not all known.
    forgotten: u64,
}

impl Ring {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.data.len();
        self.frames.push_back(frame);
        while self.frames.len() > 1
            && (self.frames.len() > MAX_EVENTS || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.data.len();
            self.forgotten = oldest.number;
        }
    }
}

/// The kept events of all topics. Numbers are those of the bus, so that one id stands for a position in every topic.
#[derive(Debug)]
pub struct History<T> {
    epoch: u64,
    last: u64,
    rings: BTreeMap<T, Ring>,
    /// Topics removed by [`Self::keep_latest`] had no events after this number.
    removed: u64,
}

impl<T: Ord + Clone> History<T> {
    /// No events yet.
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            last: 0,
            rings: BTreeMap::new(),
            removed: 0,
        }
    }

    /// The id of the latest event.
    pub fn position(&self) -> EventId {
        self.id(self.last)
    }

    /// The id of an event with this number.
    pub fn id(&self, number: u64) -> EventId {
        EventId {
            epoch: self.epoch,
            number,
        }
    }

    /// Appends an event.
    pub fn record(&mut self, topic: &T, data: Arc<str>) -> Frame {
        self.last += 1;
        let frame = Frame {
            number: self.last,
            data,
        };
        // Also for a topic without readers: the next one may have read a snapshot just before.
        // A topic without a ring may have been removed.
        let forgotten = self.removed;
        let ring = self.rings.entry(topic.clone()).or_insert_with(|| Ring {
            forgotten,
            ..Ring::default()
        });
        ring.push(frame.clone());
        frame
    }

    /// Events of a topic up to now may be incomplete, as those of a source without readers.
    pub fn forget(&mut self, topic: &T) {
        let forgotten = self.last;
        self.rings.insert(
            topic.clone(),
            Ring {
                forgotten,
                ..Ring::default()
            },
        );
    }

    /// Whether the topic has events, or is followed.
    pub fn has(&self, topic: &T) -> bool {
        self.rings.contains_key(topic)
    }

    /// Removes a topic whose source is gone.
    pub fn remove(&mut self, topic: &T) {
        self.rings.remove(topic);
    }

    /// Of the topics for which `is_limited`, keeps those `most` that had events last.
    pub fn keep_latest(&mut self, is_limited: impl Fn(&T) -> bool, most: usize) {
        let limited = self.rings.iter().filter(|(topic, _)| is_limited(topic));
        let mut by_event: Vec<(u64, T)> = limited
            .map(|(topic, ring)| {
                (
                    ring.frames.back().map_or(0, |frame| frame.number),
                    topic.clone(),
                )
            })
            .collect();
        let excess = by_event.len().saturating_sub(most);
        by_event.sort();
        for (number, topic) in by_event.drain(..excess) {
            self.removed = self.removed.max(number);
            self.rings.remove(&topic);
        }
    }

    /// Whether [`Self::keep_latest`] may have removed events of a topic after `last`.
    pub fn may_have_removed(&self, topic: &T, last: EventId) -> bool {
        !self.has(topic) && last.number < self.removed
    }

    /// What a reader of `topics` gets that has seen events up to `last`.
    pub fn resume(&self, topics: &BTreeSet<T>, last: EventId) -> Resumed<T> {
        if last.epoch != self.epoch || last.number > self.last {
            return Resumed {
                missed: Vec::new(),
                reset: topics.clone(),
            };
        }
        let mut missed = Vec::new();
        let mut reset = BTreeSet::new();
        for topic in topics {
            let Some(ring) = self.rings.get(topic) else {
                continue;
            };
            if last.number < ring.forgotten {
                reset.insert(topic.clone());
            } else {
                let unseen = ring
                    .frames
                    .iter()
                    .filter(|frame| frame.number > last.number);
                missed.extend(unseen.cloned());
            }
        }
        missed.sort_by_key(|frame| frame.number);
        Resumed { missed, reset }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resume(history: &History<u8>, topics: &[u8], last: EventId) -> Resumed<u8> {
        history.resume(&topics.iter().copied().collect(), last)
    }

    #[test]
    fn ids_round_trip() {
        for id in [
            EventId {
                epoch: 0,
                number: 0,
            },
            EventId {
                epoch: u64::MAX,
                number: u64::MAX,
            },
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "-", "1", "x-1", "1-x", "1--1", "1-1-1"] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn unknown_epochs_and_future_numbers_reset_all_topics() {
        let mut history = History::new(7);
        history.record(&1, "a".into());
        for last in [
            EventId {
                epoch: 8,
                number: 0,
            },
            history.id(2),
        ] {
            let resumed = resume(&history, &[1, 2], last);
            assert_eq!(resumed.missed, []);
            assert_eq!(resumed.reset, BTreeSet::from([1, 2]));
        }
    }

    #[test]
    fn old_events_are_dropped_by_number_and_by_bytes() {
        let mut history = History::new(7);
        for _ in 0..=MAX_EVENTS {
            history.record(&1, "a".into());
        }
        assert_eq!(resume(&history, &[1], history.id(0)).reset, [1].into());
        let resumed = resume(&history, &[1], history.id(1));
        assert_eq!(resumed.missed.len(), MAX_EVENTS);
        let large: Arc<str> = "x".repeat(MAX_BYTES / 2).into();
        for _ in 0..3 {
            history.record(&2, Arc::clone(&large));
        }
        let first = history.position().number - 2;
        assert_eq!(
            resume(&history, &[2], history.id(first - 1)).reset,
            [2].into()
        );
        assert_eq!(resume(&history, &[2], history.id(first)).missed.len(), 2);
        // Larger than the limit by itself.
        let huge = history.record(&3, "x".repeat(2 * MAX_BYTES).into());
        let before = history.id(huge.number - 1);
        assert_eq!(resume(&history, &[3], before).missed, [huge]);
    }

    #[test]
    fn topic_that_was_not_followed_is_reset() {
        let mut history = History::new(7);
        history.record(&1, "a".into());
        history.forget(&2);
        assert_eq!(resume(&history, &[1, 2], history.id(0)).reset, [2].into());
        let at = history.position();
        let frame = history.record(&2, "b".into());
        let resumed = resume(&history, &[1, 2], at);
        assert_eq!(
            (resumed.missed, resumed.reset),
            (vec![frame], BTreeSet::new())
        );
    }

    #[test]
    fn only_the_topics_with_the_latest_events_are_kept() {
        let mut history = History::new(7);
        for topic in [1, 2, 3, 4, 2] {
            history.record(&topic, "a".into());
        }
        // Topic 1 is not limited, 3 has the oldest latest event of the others.
        history.keep_latest(|topic| *topic > 1, 2);
        let kept = [1, 2, 3, 4].map(|topic| history.has(&topic));
        assert_eq!(kept, [true, true, false, true]);
        assert!(history.may_have_removed(&3, history.id(2)));
        assert!(!history.may_have_removed(&3, history.id(3)));
        assert!(!history.may_have_removed(&2, history.id(0)));
        // A reader that missed removed events is reset also when there are new ones.
        let new = history.record(&3, "b".into());
        assert_eq!(resume(&history, &[3], history.id(2)).reset, [3].into());
        assert_eq!(resume(&history, &[3], history.id(3)).missed, [new]);
    }

    proptest! {
        /// From any earlier position, a reader gets exactly the later events of its topics, or a reset of the topic.
        #[test]
        fn resume_is_complete_or_says_so(
            published in prop::collection::vec((0_u8..4, 0_usize..(MAX_BYTES / 3)), 1..40),
            topics in prop::collection::btree_set(0_u8..5, 1..4),
            seen in 0_u64..40,
        ) {
            let mut history = History::new(1);
            let mut all = Vec::new();
            for (topic, bytes) in published {
                let frame = history.record(&topic, "x".repeat(bytes).into());
                all.push((topic, frame));
            }
            let last = history.id(seen.min(history.position().number));
            let resumed = history.resume(&topics, last);
            let expected: Vec<Frame> = all
                .iter()
                .filter(|(topic, frame)| {
                    topics.contains(topic) && !resumed.reset.contains(topic) && frame.number > last.number
                })
                .map(|(_, frame)| frame.clone())
                .collect();
            prop_assert_eq!(&resumed.missed, &expected);
            for topic in &resumed.reset {
                let unseen: usize = all
                    .iter()
                    .filter(|(other, frame)| other == topic && frame.number > last.number)
                    .map(|(_, frame)| frame.data.len())
                    .sum();
                prop_assert!(unseen > MAX_BYTES, "topic {} was reset although its events fit", topic);
            }
        }
    }
}
