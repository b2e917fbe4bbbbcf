//! The store of responses, for `GET /v1/responses/{id}` and `previous_response_id`.

use std::sync::{Mutex, PoisonError};

use futures_core::future::BoxFuture;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A completed response with its conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// The body of `GET /v1/responses/{id}`.
    pub response: Value,
    /// All input items, oldest first, including the input and output of previous responses. Integers keep all digits, see
    /// [`mlxm_chat::integers`].
    #[serde(with = "mlxm_chat::integers")]
    pub input: Vec<Value>,
}

/// Errors of a response store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage is not available.
    #[error("the response store is not available: {0}")]
    Unavailable(String),
    /// The stored data is not a response.
    #[error("a stored response cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Stores responses by id. A store may evict responses at any time; requests for them get status 404.
pub trait ResponseStore: Send + Sync {
    /// Stores a response.
    fn put<'a>(
        &'a self,
        id: &'a str,
        stored: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The response, if it is stored.
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<StoredResponse>, StoreError>>;

    /// Deletes a response; returns whether it was stored.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// Capacity of a [`MemoryStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Number of responses.
    pub responses: usize,
    /// Size of all responses with their conversations as JSON, in bytes.
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

/// Stores responses in memory until the process exits.
///
/// When the capacity is exceeded, the least recently stored, read or continued responses are evicted. A response that is larger
/// than the whole capacity is not stored. Each response is stored with its whole conversation, so it can be continued after
/// previous ones have been evicted.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: MemoryLimits,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
struct Cache {
    /// Responses as JSON.
    entries: LruCache<String, Box<[u8]>>,
    size_bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            // Evicts by number and by size, which `LruCache` does not know.
            entries: LruCache::unbounded(),
            size_bytes: 0,
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            cache: Mutex::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(&self, id: &str, stored: &StoredResponse) -> Result<(), StoreError> {
        let json = serde_json::to_vec(stored)?.into_boxed_slice();
        self.with(|cache| {
            cache.remove(id);
            if json.len() > self.limits.size_bytes || self.limits.responses == 0 {
                return;
            }
            while cache.entries.len() >= self.limits.responses
                || cache.size_bytes + json.len() > self.limits.size_bytes
            {
                cache.evict();
            }
            cache.size_bytes += json.len();
            cache.entries.put(id.to_owned(), json);
        });
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<StoredResponse>, StoreError> {
        let json = self.with(|cache| cache.entries.get(id).cloned());
        Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
    }
}

impl Cache {
    fn remove(&mut self, id: &str) -> bool {
        let json = self.entries.pop(id);
        self.size_bytes -= json.as_ref().map_or(0, |json| json.len());
        json.is_some()
    }

    fn evict(&mut self) {
        if let Some((_, json)) = self.entries.pop_lru() {
            self.size_bytes -= json.len();
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
        Box::pin(async move { Ok(self.with(|cache| cache.remove(id))) })
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
        store.with(|cache| {
            cache
                .entries
                .iter()
                .rev()
                .map(|(id, _)| id.clone())
                .collect()
        })
    }

    #[test]
    fn store_evicts_the_least_recently_used_response() {
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
        assert!(store.with(|cache| cache.remove("c")));
        assert!(!store.with(|cache| cache.remove("c")));
        assert_eq!(ids(&store), ["a"]);
    }

    #[test]
    fn stored_input_keeps_the_digits_of_integers() {
        let text = "{\"input\":{\"n\":123456789012345678901234567890}}";
        let stored = StoredResponse {
            response: json!({}),
            input: vec![mlxm_chat::integers::from_str(text).unwrap()],
        };
        let store = MemoryStore::default();
        store.insert("a", &stored).unwrap();
        let found = store.find("a").unwrap().unwrap();
        assert_eq!(mlxm_chat::integers::to_string(&found.input[0]), text);
        assert_eq!(found, stored);
        let json = store
            .with(|cache| cache.entries.peek("a").cloned())
            .unwrap();
        assert!(String::from_utf8_lossy(&json).contains(text));
    }

    #[test]
    fn store_limits_the_size_in_bytes() {
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
        assert_eq!(store.with(|cache| cache.size_bytes), 2 * one);
        // Larger than the capacity: it is not stored, and evicts nothing.
        store.insert("d", &stored(&"x".repeat(one))).unwrap();
        assert_eq!(ids(&store), ["b", "c"]);
        for id in ["b", "c"] {
            assert!(store.with(|cache| cache.remove(id)));
        }
        assert_eq!(store.with(|cache| cache.size_bytes), 0);
    }
}
