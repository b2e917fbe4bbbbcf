//! The progress of one pull, from its events.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlxm_hub::{ProgressHandler, PullEvent};

use crate::wire::downloads::WaitReason;

/// What a pull is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It reads the list of files, and the disk space.
    Checking,
    /// It transfers.
    Running,
    /// All bytes are there.
    Verifying,
    /// It waits, for the reason in the text.
    Waiting(WaitReason, String),
}

/// The progress of a pull at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes of all files, once they are known.
    pub total_bytes: Option<u64>,
    /// Bytes that are on the disk.
    pub done_bytes: u64,
}

/// Collects the events of a pull. Read at the rate at which progress is shown, however often events come.
#[derive(Debug, Default)]
pub struct Tracker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    total_bytes: Option<u64>,
    /// Bytes that were on the disk before the first transfer.
    reused_bytes: u64,
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
struct File {
    activity: Activity,
    /// Position of the first transfer, up to which its bytes count as reused.
    from_bytes: u64,
    position_bytes: u64,
}

#[derive(Debug)]
enum Activity {
    Transfer,
    Lock,
    Retry(String),
    Finished,
}

impl ProgressHandler for Tracker {
    fn on_event(&self, event: &PullEvent) {
        let mut state = self.lock();
        match event {
            PullEvent::Planned {
                total_bytes,
                reused_bytes,
                ..
            } => {
                state.total_bytes = Some(*total_bytes);
                state.reused_bytes = *reused_bytes;
            }
            // Those of the plan come before the first transfer.
            PullEvent::Reused { .. } if state.files.is_empty() => {}
            PullEvent::Reused { file, size_bytes } => state.file(file, 0).finish(*size_bytes),
            PullEvent::Waiting { file } => state.file(file, 0).activity = Activity::Lock,
            PullEvent::Started {
                file,
                position_bytes,
                ..
            } => {
                let file = state.file(file, *position_bytes);
                if matches!(file.activity, Activity::Lock) {
                    file.from_bytes = *position_bytes;
                }
                file.activity = Activity::Transfer;
                file.position_bytes = *position_bytes;
            }
            PullEvent::Advanced {
                file,
                position_bytes,
            } => state.file(file, *position_bytes).position_bytes = *position_bytes,
            PullEvent::Retrying { file, reason, .. } => {
                state.file(file, 0).activity = Activity::Retry(reason.clone());
            }
            PullEvent::Finished { file, size_bytes } => {
                state.file(file, 0).finish(*size_bytes);
            }
            PullEvent::Done { .. } => {
                state.reused_bytes = state.total_bytes.unwrap_or_default();
                state.files.clear();
            }
            // Events of later versions of the library.
            _ => {}
        }
    }
}

impl Tracker {
    /// The progress as of now.
    pub fn progress(&self) -> Progress {
        let state = self.lock();
        let done_bytes = state.done_bytes();
        Progress {
            phase: state.phase(done_bytes),
            total_bytes: state.total_bytes,
            done_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn file(&mut self, name: &str, from_bytes: u64) -> &mut File {
        self.files.entry(name.to_owned()).or_insert(File {
            activity: Activity::Transfer,
            from_bytes,
            position_bytes: from_bytes,
        })
    }

    fn done_bytes(&self) -> u64 {
        let (mut done, mut lost) = (self.reused_bytes, 0);
        for file in self.files.values() {
            done += file.position_bytes.saturating_sub(file.from_bytes);
            // The server could not resume the transfer.
            lost += file.from_bytes.saturating_sub(file.position_bytes);
        }
        done.saturating_sub(lost)
            .min(self.total_bytes.unwrap_or(u64::MAX))
    }

    fn phase(&self, done_bytes: u64) -> Phase {
        let Some(total_bytes) = self.total_bytes else {
            return Phase::Checking;
        };
        if done_bytes >= total_bytes {
            return Phase::Verifying;
        }
        let mut blocked = None;
        for (name, file) in &self.files {
            let reason = match &file.activity {
                Activity::Transfer => return Phase::Running,
                Activity::Finished => None,
                Activity::Lock => Some((
                    WaitReason::Lock,
                    format!("another program is downloading {name}"),
                )),
                Activity::Retry(reason) => {
                    Some((WaitReason::Network, format!("{name}: {reason}; retrying")))
                }
            };
            blocked = blocked.or(reason);
        }
        blocked.map_or(Phase::Running, |(reason, text)| {
            Phase::Waiting(reason, text)
        })
    }
}

impl File {
    fn finish(&mut self, size_bytes: u64) {
        self.activity = Activity::Finished;
        self.position_bytes = size_bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn started(file: &str, position_bytes: u64) -> PullEvent {
        PullEvent::Started {
            file: file.to_owned(),
            size_bytes: 100,
            position_bytes,
        }
    }

    fn advanced(file: &str, position_bytes: u64) -> PullEvent {
        PullEvent::Advanced {
            file: file.to_owned(),
            position_bytes,
        }
    }

    fn planned(total_bytes: u64, reused_bytes: u64) -> PullEvent {
        PullEvent::Planned {
            files: 3,
            total_bytes,
            reused_bytes,
        }
    }

    fn after(events: &[PullEvent]) -> (Phase, u64) {
        let tracker = Tracker::default();
        for event in events {
            tracker.on_event(event);
        }
        let progress = tracker.progress();
        (progress.phase, progress.done_bytes)
    }

    #[test]
    fn bytes_on_the_disk_count_once() {
        assert_eq!(after(&[]), (Phase::Checking, 0));
        // `a` is complete, `b` has 30 bytes, `c` none.
        let mut events = vec![
            planned(300, 130),
            PullEvent::Reused {
                file: "a".to_owned(),
                size_bytes: 100,
            },
        ];
        assert_eq!(after(&events), (Phase::Running, 130));
        events.extend([
            started("b", 30),
            started("c", 0),
            advanced("b", 50),
            advanced("c", 10),
        ]);
        assert_eq!(after(&events), (Phase::Running, 160));
        // The server sends `b` from the beginning.
        events.push(started("b", 0));
        assert_eq!(after(&events), (Phase::Running, 110));
        events.extend([advanced("b", 100), advanced("c", 100)]);
        assert_eq!(after(&events), (Phase::Verifying, 300));
        events.push(PullEvent::Done {
            snapshot: "/x".into(),
        });
        assert_eq!(after(&events), (Phase::Verifying, 300));
    }

    #[test]
    fn pull_waits_only_if_no_file_is_transferred() {
        let waiting = PullEvent::Waiting {
            file: "a".to_owned(),
        };
        let retrying = PullEvent::Retrying {
            file: "b".to_owned(),
            reason: "the connection closed".to_owned(),
            attempt: 1,
            delay: Duration::ZERO,
        };
        let (phase, _) = after(&[planned(200, 0), waiting.clone()]);
        assert!(
            matches!(phase, Phase::Waiting(WaitReason::Lock, _)),
            "{phase:?}"
        );
        let (phase, _) = after(&[planned(200, 0), started("b", 0), retrying.clone()]);
        let Phase::Waiting(WaitReason::Network, text) = phase else {
            panic!("{phase:?}");
        };
        assert!(text.contains("the connection closed"), "{text}");
        for events in [
            [planned(200, 0), waiting.clone(), started("b", 0)],
            [planned(200, 0), waiting.clone(), started("a", 0)],
        ] {
            assert_eq!(after(&events).0, Phase::Running);
        }
        // Another program has completed the file.
        let reused = PullEvent::Reused {
            file: "a".to_owned(),
            size_bytes: 100,
        };
        assert_eq!(
            after(&[planned(200, 0), waiting, reused]),
            (Phase::Running, 100)
        );
    }
}
