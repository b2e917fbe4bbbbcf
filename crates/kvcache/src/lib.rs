//! Bookkeeping for a paged key/value cache.
//!
//! Cache memory is cut into blocks of `block_size` token slots. This crate decides which block
//! holds which tokens; it never sees the keys and values themselves. The tensors live in the
//! engine, which turns a [`BlockTable`] into reads and a slot into a write.
//!
//! A model has layers of several kinds: some attend to everything, some to a sliding window. Each
//! kind is a *cache group* with blocks of its own, and a sequence holds one [`BlockTable`] per
//! group in its [`SequenceCache`].
//!
//! ```
//! use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig};
//!
//! let mut pool = BlockPool::new(PoolConfig {
//!     block_size: 4,
//!     groups: vec![GroupConfig { kind: GroupKind::Full, blocks: 8 }],
//! })?;
//! let prompt = [1, 2, 3, 4, 5, 6];
//!
//! let mut cache = pool.match_prefix(&prompt, 0);
//! assert_eq!(cache.cached_tokens(), 0);
//! pool.allocate_slots(&mut cache, prompt.len())?;
//! // The engine computes the prompt here, writing position `p` to `cache.slot(0, p)`.
//! pool.cache_full_blocks(&mut cache, &prompt, prompt.len());
//! pool.release(cache);
//!
//! let again = pool.match_prefix(&prompt, 0);
//! assert_eq!(again.cached_tokens(), 4);
//! pool.release(again);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! - A block is either free or referenced by at least one table, never both.
//! - Only full, sealed blocks are shared; the block a sequence writes to is its own. So a shared
//!   block is never written, and copy-on-write does not exist here.
//! - A sealed block stays findable after its last reference is gone, until the block is reused.
//!   The least recently used goes first.
//! - A sequence never has more than `block_size - 1` unused slots in a group after
//!   [`BlockPool::allocate_slots`].
//! - Deliberately absent: tensors, devices, clocks, threads, eviction policies other than the
//!   above.

mod block_hash;
mod config;
mod free_list;
mod group;
mod pool;
mod stats;
mod table;

pub use config::{ConfigError, GroupConfig, GroupKind, PoolConfig};
pub use pool::{BlockPool, OutOfBlocks};
pub use stats::{GroupStats, PoolStats};
pub use table::{BlockId, BlockTable, SequenceCache};
