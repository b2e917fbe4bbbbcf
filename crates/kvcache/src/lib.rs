//! Bookkeeping of a paged KV cache with prefix caching.
//!
//! Cache memory is divided into blocks of `block_size` token slots. This crate assigns blocks to sequences; the tensors
//! with the keys and values belong to the engine, which reads through a [`BlockTable`] and writes to slots.
//!
//! A model may have several kinds of attention layers, such as full attention and sliding-window attention. Each kind
//! is a *cache group* with its own blocks. A sequence has one [`BlockTable`] per group in its [`SequenceCache`].
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
//! // The engine computes the prompt here and writes position `p` to `cache.slot(0, p)`.
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
//! - Only full blocks are cached and shared. A sequence writes only to blocks that no other sequence references, so
//!   copy-on-write is not needed.
//! - A cached block stays in the prefix cache after its last reference is dropped, until the block is reused. Eviction
//!   is least recently used first.
//! - After [`BlockPool::allocate_slots`], the internal fragmentation of a sequence is at most `block_size - 1` slots per
//!   group.
//! - Deliberately absent: tensors, devices, clocks, threads, and other eviction policies.

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
