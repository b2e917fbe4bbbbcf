//! Where responses are kept for `GET /v1/responses/{id}` and for `previous_response_id`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A response that has ended, and the conversation that it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// As `GET /v1/responses/{id}` shows it.
    pub response: Value,
    /// The items that were answered, those of previous responses and their answers included, oldest first.
    pub input: Vec<Value>,
}

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What the store writes to cannot be reached.
    #[error("stored responses cannot be reached: {0}")]
    Unavailable(String),
    /// What is stored is not a response.
    #[error("a stored response cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Keeps responses by their ids. A store may forget responses at any time; whoever asks for one is told that it is not there.
pub trait ResponseStore: Send + Sync {
    /// Keeps a response.
    fn put<'a>(
        &'a self,
        id: &'a str,
        stored: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The response, if it is there.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredResponse>, StoreError>>;

    /// Forgets a response; says whether it was there.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// How much a [`MemoryStore`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Responses.
    pub responses: usize,
    /// Bytes of all responses and their conversations, as JSON.
    pub size_bytes: usize,
}

impl Default for MemoryLimits {
    /// 1024 responses and 64 MiB.
    fn default() -> Self {
        Self {
            responses: 1024,
            size_bytes: 64 << 20,
        }
    }
}

/// Keeps responses in memory, within limits, until the process ends.
///
/// Where there is no room for another one, those go that were not stored, read or continued for the longest time. One that
/// is larger than all the room is not kept. Each response has its whole conversation with it, so it can be continued when
/// those before it are gone.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: MemoryLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<String, Entry>,
    /// Ids by the time of their last use.
    order: BTreeMap<u64, String>,
    size_bytes: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    json: Box<[u8]>,
    used: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            kept: Mutex::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(&self, id: &str, stored: &StoredResponse) -> Result<(), StoreError> {
        let json = serde_json::to_vec(stored)?.into_boxed_slice();
        self.with(|kept| {
            kept.remove(id);
            if json.len() > self.limits.size_bytes || self.limits.responses == 0 {
                return;
            }
            while kept.entries.len() >= self.limits.responses
                || kept.size_bytes + json.len() > self.limits.size_bytes
            {
                kept.remove_oldest();
            }
            kept.size_bytes += json.len();
            let used = kept.tick();
            kept.order.insert(used, id.to_owned());
            kept.entries.insert(id.to_owned(), Entry { json, used });
        });
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<StoredResponse>, StoreError> {
        let json = self.with(|kept| {
            let now = kept.tick();
            let entry = kept.entries.get_mut(id)?;
            kept.order.remove(&entry.used);
            kept.order.insert(now, id.to_owned());
            entry.used = now;
            Some(entry.json.clone())
        });
        Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
    }
}

impl Kept {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn remove(&mut self, id: &str) -> bool {
        let Some(entry) = self.entries.remove(id) else {
            return false;
        };
        self.order.remove(&entry.used);
        self.size_bytes -= entry.json.len();
        true
    }

    fn remove_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_first() {
            self.remove(&id);
        }
    }
}

impl ResponseStore for MemoryStore {
    fn put<'a>(
        &'a self,
        id: &'a str,
        stored: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.insert(id, stored) })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredResponse>, StoreError>> {
        Box::pin(async move { self.find(id) })
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.with(|kept| kept.remove(id))) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(text: &str) -> StoredResponse {
        StoredResponse {
            response: json!({"output": [text]}),
            input: vec![json!({"role": "user", "content": text})],
        }
    }

    fn ids(store: &MemoryStore) -> Vec<String> {
        store.with(|kept| kept.order.values().cloned().collect())
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let limits = MemoryLimits {
            responses: 2,
            ..MemoryLimits::default()
        };
        let store = MemoryStore::new(limits);
        store.insert("a", &stored("1")).unwrap();
        store.insert("b", &stored("2")).unwrap();
        assert_eq!(store.find("a").unwrap(), Some(stored("1")));
        store.insert("c", &stored("3")).unwrap();
        assert_eq!(ids(&store), ["a", "c"]);
        assert_eq!(store.find("b").unwrap(), None);
        store.insert("a", &stored("4")).unwrap();
        assert_eq!(ids(&store), ["c", "a"]);
        assert!(store.with(|kept| kept.remove("c")));
        assert!(!store.with(|kept| kept.remove("c")));
        assert_eq!(ids(&store), ["a"]);
    }

    #[test]
    fn bytes_are_limited_and_given_back() {
        let one = serde_json::to_vec(&stored("0")).unwrap().len();
        let limits = MemoryLimits {
            responses: 100,
            size_bytes: 2 * one + 1,
        };
        let store = MemoryStore::new(limits);
        for id in ["a", "b", "c"] {
            store.insert(id, &stored("0")).unwrap();
        }
        assert_eq!(ids(&store), ["b", "c"]);
        assert_eq!(store.with(|kept| kept.size_bytes), 2 * one);
        // Too large for all the room: it is not kept, and does not drive out the others.
        store.insert("d", &stored(&"x".repeat(one))).unwrap();
        assert_eq!(ids(&store), ["b", "c"]);
        for id in ["b", "c"] {
            assert!(store.with(|kept| kept.remove(id)));
        }
        assert_eq!(store.with(|kept| kept.size_bytes), 0);
    }
}
