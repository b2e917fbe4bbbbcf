//! Which worker has a stored response.
//!
//! Routes such as `/v1/responses/{id}` name no model. Each worker stores the responses that it created, in its memory, so the
//! gateway notes who created which. A response is gone when its worker is.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::workers::WorkerId;

/// Responses whose worker is noted; as many as a few workers store.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// The id is among the first fields of a response, and in the first event of a stream.
const SEARCHED_BYTES: usize = 4096;

/// The workers of the most recent responses.
#[derive(Debug)]
pub struct ResponseWorkers(Mutex<LruCache<String, WorkerId>>);

impl Default for ResponseWorkers {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl ResponseWorkers {
    /// Notes that `worker` created the response `id`.
    pub fn insert(&self, id: String, worker: WorkerId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(id, worker);
    }

    /// The worker that created the response `id`.
    pub fn get(&self, id: &str) -> Option<WorkerId> {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.get(id).cloned()
    }
}

/// Finds the id at the start of a response, whole or streamed.
#[derive(Debug, Default)]
pub struct IdSearch {
    start: Vec<u8>,
    id: Option<String>,
}

impl IdSearch {
    /// Searches the next chunk. Returns the id when it has been found just now.
    pub fn push(&mut self, chunk: &[u8]) -> Option<&str> {
        if self.id.is_some() || self.start.len() >= SEARCHED_BYTES {
            return None;
        }
        let length = chunk.len().min(SEARCHED_BYTES - self.start.len());
        self.start.extend(chunk.iter().take(length));
        self.id = find_id(&self.start);
        self.id.as_deref()
    }

    /// The id, once it has been found.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

fn find_id(start: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"id\":\"";
    const PREFIX: &[u8] = b"resp_";
    let is_id = |part: &[u8]| part.strip_prefix(KEY).is_some_and(|id| id == PREFIX);
    let at = start.windows(KEY.len() + PREFIX.len()).position(is_id)?;
    let id = start.get(at + KEY.len()..)?;
    let length = id.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(id.get(..length)?)
        .ok()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_found_in_any_chunks() {
        let whole = r#"{"id":"resp_1a","object":"response","output":[{"id":"resp_no"}]}"#;
        let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1a\"}}\n\n";
        for text in [whole, stream] {
            for cut in 0..text.len() {
                let mut search = IdSearch::default();
                let (first, second) = text.split_at(cut);
                let mut found = Vec::new();
                for part in [first, second] {
                    found.extend(search.push(part.as_bytes()).map(str::to_owned));
                }
                assert_eq!(found, ["resp_1a"], "{cut}");
                assert_eq!(search.id(), Some("resp_1a"));
            }
        }
    }

    #[test]
    fn search_is_bounded() {
        let mut search = IdSearch::default();
        for _ in 0..100 {
            assert_eq!(search.push(&[b' '; 1000]), None);
        }
        assert_eq!(search.push(br#"{"id":"resp_1"}"#), None);
        assert_eq!(search.start.len(), SEARCHED_BYTES);
    }

    #[test]
    fn oldest_responses_are_forgotten() {
        let workers = ResponseWorkers::default();
        for index in 0..=CAPACITY.get() {
            workers.insert(format!("resp_{index}"), WorkerId::from("w"));
        }
        assert_eq!(workers.get("resp_0"), None);
        assert_eq!(workers.get("resp_1"), Some(WorkerId::from("w")));
    }
}
