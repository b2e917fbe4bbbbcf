//! What waits for one reader, and what is lost when it reads too slowly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::history::{Frame, Resumed};

/// Most events that wait for a reader.
pub const MAX_EVENTS: usize = 2_048;
/// Most bytes of payloads that wait for a reader.
pub const MAX_BYTES: usize = 2 << 20;

/// What a reader gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An event.
    Event(Frame),
    /// The current value of a measurement; it has no id.
    Sample(Arc<str>),
    /// Events are lost: what was read of these topics before has to be read again.
    Reset {
        /// The topics.
        topics: BTreeSet<T>,
        /// The number of the event that follows, if one waits.
        next: Option<u64>,
    },
}

/// Identifies a measurement within its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleKey {
    /// The server or download that is measured; `None` for the machine.
    pub subject: Option<Uuid>,
    /// What is measured.
    pub kind: &'static str,
}

/// The deliveries of one reader. Its size is limited: a reader that is too slow loses samples first, because only the latest
/// of each waits and only while no event does, and then all waiting events, and gets a reset.
#[derive(Debug)]
pub struct Mailbox<T> {
    topics: BTreeSet<T>,
    events: VecDeque<(T, Frame)>,
    bytes: usize,
    /// The latest samples.
    samples: BTreeMap<(T, SampleKey), Arc<str>>,
    lost: BTreeSet<T>,
    /// Events that the reader missed before it connected. Limited by the history.
    missed: VecDeque<Frame>,
}

impl<T: Ord + Clone> Mailbox<T> {
    /// The mailbox of a reader of `topics`, with what it missed.
    pub fn new(topics: BTreeSet<T>, resumed: Resumed<T>) -> Self {
        Self {
            topics,
            events: VecDeque::new(),
            bytes: 0,
            samples: BTreeMap::new(),
            lost: resumed.reset,
            missed: resumed.missed.into(),
        }
    }

    /// The topics of the reader.
    pub fn topics(&self) -> &BTreeSet<T> {
        &self.topics
    }

    /// Adds an event. Returns whether the reader wants it. Earlier samples of its subject are obsolete.
    pub fn push_event(&mut self, topic: &T, subject: Option<Uuid>, frame: &Frame) -> bool {
        if !self.topics.contains(topic) {
            return false;
        }
        if subject.is_some() {
            self.samples
                .retain(|(other, key), _| other != topic || key.subject != subject);
        }
        if self.lost.contains(topic) {
            // The reader reads the topic again after the reset, which comes first.
            return true;
        }
        self.bytes += frame.data.len();
        self.events.push_back((topic.clone(), frame.clone()));
        if self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            self.samples.clear();
            self.bytes = 0;
            let lost = self.events.drain(..).map(|(topic, _)| topic);
            self.lost.extend(lost);
        }
        true
    }

    /// Replaces a sample. Returns whether the reader wants it.
    pub fn push_sample(&mut self, topic: &T, key: SampleKey, data: &Arc<str>) -> bool {
        let is_wanted = self.topics.contains(topic);
        if is_wanted {
            self.samples.insert((topic.clone(), key), Arc::clone(data));
        }
        is_wanted
    }

    /// The next delivery: missed events, a reset, events, and then samples.
    pub fn pop(&mut self) -> Option<Delivery<T>> {
        if let Some(frame) = self.missed.pop_front() {
            return Some(Delivery::Event(frame));
        }
        if !self.lost.is_empty() {
            return Some(Delivery::Reset {
                topics: std::mem::take(&mut self.lost),
                next: self.events.front().map(|(_, frame)| frame.number),
            });
        }
        if let Some((_, frame)) = self.events.pop_front() {
            self.bytes -= frame.data.len();
            return Some(Delivery::Event(frame));
        }
        let (_, data) = self.samples.pop_first()?;
        Some(Delivery::Sample(data))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailbox(topics: &[u8]) -> Mailbox<u8> {
        Mailbox::new(topics.iter().copied().collect(), Resumed::default())
    }

    fn frame(number: u64, data: &str) -> Frame {
        Frame {
            number,
            data: data.into(),
        }
    }

    #[test]
    fn samples_wait_for_events_and_only_the_latest_is_kept() {
        let mut mailbox = mailbox(&[1]);
        for value in ["a", "b"] {
            assert!(mailbox.push_sample(&1, key(None, "cpu"), &value.into()));
        }
        assert!(mailbox.push_sample(&1, key(None, "memory"), &"c".into()));
        assert!(!mailbox.push_sample(&2, key(None, "cpu"), &"d".into()));
        mailbox.push_event(&1, None, &frame(1, "e"));
        let order = std::iter::from_fn(|| mailbox.pop()).collect::<Vec<_>>();
        let expected = [
            Delivery::Event(frame(1, "e")),
            Delivery::Sample("b".into()),
            Delivery::Sample("c".into()),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn event_makes_samples_of_its_subject_obsolete() {
        let (loading, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let mut mailbox = mailbox(&[1]);
        for subject in [loading, other, None] {
            mailbox.push_sample(&1, key(subject, "progress"), &"50%".into());
        }
        mailbox.push_event(&1, loading, &frame(1, "ready"));
        let order = std::iter::from_fn(|| mailbox.pop()).collect::<Vec<_>>();
        assert_eq!(order[0], Delivery::Event(frame(1, "ready")));
        assert_eq!(order.len(), 3);
    }

    #[test]
    fn missed_events_come_before_a_reset_of_other_topics() {
        let resumed = Resumed {
            missed: vec![frame(1, "a")],
            reset: BTreeSet::from([2]),
        };
        let mut mailbox = Mailbox::new(BTreeSet::from([1_u8, 2]), resumed);
        mailbox.push_event(&2, None, &frame(2, "covered by the reset"));
        mailbox.push_event(&1, None, &frame(3, "b"));
        let order = std::iter::from_fn(|| mailbox.pop()).collect::<Vec<_>>();
        let expected = [
            Delivery::Event(frame(1, "a")),
            Delivery::Reset {
                topics: BTreeSet::from([2]),
                next: Some(3),
            },
            Delivery::Event(frame(3, "b")),
        ];
        assert_eq!(order, expected);
    }

    fn key(subject: Option<Uuid>, kind: &'static str) -> SampleKey {
        SampleKey { subject, kind }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Publish(u8, usize),
        Sample(u8),
        Read(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u8..3, 0_usize..(MAX_BYTES / 4)).prop_map(|(topic, bytes)| Step::Publish(topic, bytes)),
            1 => (0_u8..3).prop_map(Step::Sample),
            2 => (0_usize..4).prop_map(Step::Read),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// A reader that replaces its view of a topic at a reset, and otherwise applies events, ends with the latest state,
        /// however slowly it reads; the mailbox stays small.
        #[test]
        fn reader_ends_with_the_latest_state(steps in steps()) {
            let mut mailbox = mailbox(&[0, 1]);
            let mut latest = [0_u64; 3];
            let mut view = [0_u64; 3];
            let mut number = 0;
            let mut delivered = 0;
            let mut apply = |delivery: Delivery<u8>, latest: &[u64; 3], owner: &BTreeMap<u64, u8>| match delivery {
                Delivery::Event(frame) => {
                    assert!(frame.number > delivered, "events are in order");
                    delivered = frame.number;
                    view[usize::from(owner[&frame.number])] = frame.number;
                }
                Delivery::Reset { topics, .. } => {
                    for topic in topics {
                        view[usize::from(topic)] = latest[usize::from(topic)];
                    }
                }
                Delivery::Sample(_) => {}
            };
            let mut owner = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Publish(topic, bytes) => {
                        number += 1;
                        latest[usize::from(topic)] = number;
                        owner.insert(number, topic);
                        let wanted = mailbox.push_event(&topic, None, &frame(number, &"x".repeat(bytes)));
                        prop_assert_eq!(wanted, topic < 2);
                    }
                    Step::Sample(topic) => {
                        mailbox.push_sample(&topic, key(None, "memory"), &"s".into());
                    }
                    Step::Read(count) => {
                        for _ in 0..count {
                            if let Some(delivery) = mailbox.pop() {
                                apply(delivery, &latest, &owner);
                            }
                        }
                    }
                }
                prop_assert!(mailbox.bytes <= MAX_BYTES);
                prop_assert!(mailbox.events.len() <= MAX_EVENTS);
                prop_assert!(mailbox.samples.len() <= 2);
            }
            while let Some(delivery) = mailbox.pop() {
                apply(delivery, &latest, &owner);
            }
            prop_assert_eq!(&view[..2], &latest[..2]);
        }
    }
}
