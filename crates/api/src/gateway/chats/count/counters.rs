//! Counts tokens with the tokenizers of models, whose files are read once.
//!
//! A prompt is cut at special tokens, which is where its tokens cannot depend on each other, and the counts of its pieces are
//! kept. When a message is typed, only its own piece is tokenized again.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lru::LruCache;
use mlxm_chat::{ChatOptions, FormatOverride, PromptRenderer};
use mlxm_engine::checkpoint::CheckpointConfig;
use mlxm_engine::text::{PiecePlace, TextPiece};
use sha2::{Digest as _, Sha256};

use crate::gateway::models::can_be_read;

/// Tokenizers that are in memory at a time: one of a large vocabulary takes about 100 MB.
const MAX_COUNTERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// How long an unused tokenizer stays in memory.
const MAX_IDLE: Duration = Duration::from_mins(10);

/// Counts that are kept for each tokenizer, of 40 bytes each.
const MAX_COUNTS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Why tokens cannot be counted: the files of the model are not valid, or its template does not render the messages.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CountError(String);

impl CountError {
    /// With the message of another error.
    pub fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// What defines a counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CounterKey {
    /// The model's directory.
    pub directory: PathBuf,
    /// The profile's setting of this name.
    pub tool_call_parser: Option<String>,
}

/// The counters of models; clones share them.
#[derive(Clone)]
pub struct TokenCounters(Arc<Shared>);

struct Shared {
    loaded: Mutex<LruCache<CounterKey, Loaded>>,
    /// Held while files are read, so that each is read once.
    loading: Mutex<()>,
}

struct Loaded {
    counter: Arc<TokenCounter>,
    /// When the tokenizer was changed the last time.
    modified: Option<SystemTime>,
    used: Instant,
}

impl Default for TokenCounters {
    fn default() -> Self {
        Self(Arc::new(Shared {
            loaded: Mutex::new(LruCache::new(MAX_COUNTERS)),
            loading: Mutex::default(),
        }))
    }
}

impl TokenCounters {
    /// The counter of a model. Blocks: the first time it reads the files.
    ///
    /// # Errors
    /// If the tokenizer or the chat template is missing or invalid.
    pub fn get(&self, key: &CounterKey) -> Result<Arc<TokenCounter>, CountError> {
        let modified = modified(&key.directory);
        if let Some(counter) = self.find(key, modified) {
            return Ok(counter);
        }
        let _loading = self
            .0
            .loading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = self.find(key, modified) {
            return Ok(counter);
        }
        let counter = Arc::new(TokenCounter::load(key)?);
        let loaded = Loaded {
            counter: Arc::clone(&counter),
            modified,
            used: Instant::now(),
        };
        self.loaded().put(key.clone(), loaded);
        Ok(counter)
    }

    fn find(&self, key: &CounterKey, modified: Option<SystemTime>) -> Option<Arc<TokenCounter>> {
        let mut all = self.loaded();
        let found = all
            .get_mut(key)
            .filter(|loaded| loaded.modified == modified)?;
        found.used = Instant::now();
        Some(Arc::clone(&found.counter))
    }

    /// Frees the tokenizers that were not used for a while.
    pub fn free_idle(&self) {
        let mut all = self.loaded();
        while all
            .peek_lru()
            .is_some_and(|(_, loaded)| loaded.used.elapsed() > MAX_IDLE)
        {
            all.pop_lru();
        }
    }

    fn loaded(&self) -> MutexGuard<'_, LruCache<CounterKey, Loaded>> {
        self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn modified(directory: &Path) -> Option<SystemTime> {
    let metadata = std::fs::metadata(directory.join("tokenizer.json"));
    metadata.and_then(|metadata| metadata.modified()).ok()
}

/// Counts the tokens of a model's prompts.
pub struct TokenCounter {
    renderer: PromptRenderer,
    counts: Mutex<LruCache<[u8; 32], usize>>,
}

impl TokenCounter {
    fn load(key: &CounterKey) -> Result<Self, CountError> {
        if !can_be_read(&key.directory) {
            return Err(CountError::new("a file is too large, or is none"));
        }
        let config = CheckpointConfig::open(&key.directory).map_err(CountError::new)?;
        let options = ChatOptions {
            format: FormatOverride {
                // It was checked when the profile was stored; `none` leaves calls in the content.
                tools: key.tool_call_parser.as_deref().and_then(|name| match name {
                    "none" => Some(None),
                    name => name.parse().ok().map(Some),
                }),
                reasoning: None,
            },
            ..ChatOptions::default()
        };
        let renderer = PromptRenderer::from_dir(&key.directory, &config.model_type, &options);
        Ok(Self {
            renderer: renderer.map_err(CountError::new)?,
            counts: Mutex::new(LruCache::new(MAX_COUNTS)),
        })
    }

    /// The tokenizer and the chat template.
    pub fn renderer(&self) -> &PromptRenderer {
        &self.renderer
    }

    /// The number of tokens of a prompt.
    ///
    /// # Errors
    /// If the vocabulary does not cover the text.
    pub fn count(&self, text: &str) -> Result<usize, CountError> {
        let tokenizer = self.renderer.tokenizer();
        let mut total = 0;
        for piece in tokenizer.pieces(text) {
            let Some(key) = key_of(piece) else {
                total += 1;
                continue;
            };
            let known = self.counts().get(&key).copied();
            total += if let Some(count) = known {
                count
            } else {
                let count = tokenizer.count_piece(piece).map_err(CountError::new)?;
                self.counts().put(key, count);
                count
            };
        }
        Ok(total)
    }

    fn counts(&self) -> MutexGuard<'_, LruCache<[u8; 32], usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the count of a piece depends on; `None` for a special token.
fn key_of(piece: TextPiece<'_>) -> Option<[u8; 32]> {
    let place = match piece.place {
        PiecePlace::Token => return None,
        PiecePlace::Start => b"start",
        PiecePlace::After(_) => b"after",
    };
    let hash = Sha256::new().chain_update(place).chain_update(piece.text);
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use mlxm_chat::ChatRequest;
    use serde_json::json;

    use super::*;

    fn key() -> CounterKey {
        let directory = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../engine/tests/golden/llama-4bit"
        );
        CounterKey {
            directory: directory.into(),
            tool_call_parser: None,
        }
    }

    fn prompt(counter: &TokenCounter, draft: &str) -> String {
        let request = ChatRequest {
            messages: vec![
                json!({"role": "user", "content": "Why is the sky blue?"}),
                json!({"role": "assistant", "content": "The time is a house. ".repeat(200)}),
                json!({"role": "user", "content": draft}),
            ],
            ..ChatRequest::default()
        };
        counter.renderer().render(&request).unwrap()
    }

    #[test]
    fn only_the_piece_that_changes_is_tokenized_again() {
        let counter = TokenCounters::default().get(&key()).unwrap();
        for draft in ["W", "Wh", "Why", "Why is the sea blue?"] {
            let text = prompt(&counter, draft);
            let known = counter.counts().len();
            let tokens = counter.renderer().tokenizer().encode(&text, false).unwrap();
            assert_eq!(counter.count(&text).unwrap(), tokens.len());
            let new = counter.counts().len() - known;
            // The first time: three messages, the text between them, and the beginning of the response.
            assert_eq!(new, if known == 0 { 5 } else { 1 }, "{draft}");
            assert_eq!(counter.count(&text).unwrap(), tokens.len());
            assert_eq!(counter.counts().len(), known + new);
        }
    }

    #[test]
    fn files_are_read_once_until_they_change() {
        let directory = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(key().directory).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        let counters = TokenCounters::default();
        let key = CounterKey {
            directory: directory.path().to_owned(),
            tool_call_parser: Some("none".to_owned()),
        };
        let first = counters.get(&key).unwrap();
        assert!(Arc::ptr_eq(&first, &counters.get(&key).unwrap()));
        counters.free_idle();
        assert!(Arc::ptr_eq(&first, &counters.get(&key).unwrap()));
        let file = std::fs::File::options()
            .write(true)
            .open(directory.path().join("tokenizer.json"))
            .unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!Arc::ptr_eq(&first, &counters.get(&key).unwrap()));
        std::fs::remove_file(directory.path().join("tokenizer.json")).unwrap();
        let Err(error) = counters.get(&key) else {
            panic!("there is no tokenizer");
        };
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
    }
}
