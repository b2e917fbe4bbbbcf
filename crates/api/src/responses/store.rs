//! Storage of responses for `GET /v1/responses/{id}` and `previous_response_id`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A finished response and its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// As `GET /v1/responses/{id}` returns it.
    pub response: Value,
    /// All input items, including those of previous responses and their outputs, oldest first.
    pub input: Vec<Value>,
}

/// Why an operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage is not available.
    #[error("the response store is not available: {0}")]
    Unavailable(String),
    /// The stored data is not a response.
    #[error("a stored response cannot be parsed: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Stores responses by id. A store may evict responses at any time.
pub trait ResponseStore: Send + Sync {
    /// Stores a response.
    fn put<'a>(
        &'a self,
        id: &'a str,
        stored: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The response with this id, if it is stored.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredResponse>, StoreError>>;

    /// Deletes a response. Returns whether it was stored.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// Limits of a [`MemoryStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Number of responses.
    pub responses: usize,
    /// Bytes of all responses and their inputs, as JSON.
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

/// Stores responses in memory, with LRU eviction.
///
/// A response that exceeds the size limit alone is not stored. Each response is stored with its whole input, so it can be
/// continued after the responses before it are evicted.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: MemoryLimits,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<String, Entry>,
    /// Ids by the time of their last use.
    order: BTreeMap<u64, String>,
    size_bytes: usize,
    /// Number of uses so far.
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
            entries: Mutex::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(&self, id: &str, stored: &StoredResponse) -> Result<(), StoreError> {
        let json = serde_json::to_vec(stored)?.into_boxed_slice();
        self.with(|entries| {
            entries.remove(id);
            if json.len() > self.limits.size_bytes || self.limits.responses == 0 {
                return;
            }
            while entries.by_id.len() >= self.limits.responses
                || entries.size_bytes + json.len() > self.limits.size_bytes
            {
                entries.evict_least_recently_used();
            }
            entries.size_bytes += json.len();
            let used = entries.tick();
            entries.order.insert(used, id.to_owned());
            entries.by_id.insert(id.to_owned(), Entry { json, used });
        });
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<StoredResponse>, StoreError> {
        let json = self.with(|entries| {
            let now = entries.tick();
            let entry = entries.by_id.get_mut(id)?;
            entries.order.remove(&entry.used);
            entries.order.insert(now, id.to_owned());
            entry.used = now;
            Some(entry.json.clone())
        });
        Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
    }
}

impl Entries {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn remove(&mut self, id: &str) -> bool {
        let Some(entry) = self.by_id.remove(id) else {
            return false;
        };
        self.order.remove(&entry.used);
        self.size_bytes -= entry.json.len();
        true
    }

    fn evict_least_recently_used(&mut self) {
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
        Box::pin(async move { Ok(self.with(|entries| entries.remove(id))) })
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
        store.with(|entries| entries.order.values().cloned().collect())
    }

    #[test]
    fn least_recently_used_response_is_evicted_first() {
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
        assert!(store.with(|entries| entries.remove("c")));
        assert!(!store.with(|entries| entries.remove("c")));
        assert_eq!(ids(&store), ["a"]);
    }

    #[test]
    fn size_limit_evicts_responses_and_deletion_frees_bytes() {
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
        assert_eq!(store.with(|entries| entries.size_bytes), 2 * one);
        // Larger than the limit: it is not stored, and nothing is evicted.
        store.insert("d", &stored(&"x".repeat(one))).unwrap();
        assert_eq!(ids(&store), ["b", "c"]);
        for id in ["b", "c"] {
            assert!(store.with(|entries| entries.remove(id)));
        }
        assert_eq!(store.with(|entries| entries.size_bytes), 0);
    }
}
