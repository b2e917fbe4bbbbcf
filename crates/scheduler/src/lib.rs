//! Continuous batching: queues and free cache blocks in, a batch out.
//!
//! There is no prefill phase and no decode phase. A sequence has a number of tokens and a number
//! of *computed* tokens, and in every step each scheduled sequence catches up by some of the
//! difference. A long prompt catches up in chunks, a generating sequence by one token, a
//! sequence with draft tokens by several, and a prefix found in the cache counts as computed.
//!
//! ```
//! use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig};
//! use mlxm_scheduler::{Scheduler, SchedulerConfig, Sequence, SequenceId};
//!
//! let mut pool = BlockPool::new(PoolConfig {
//!     block_size: 16,
//!     groups: vec![GroupConfig { kind: GroupKind::Full, blocks: 64 }],
//! })?;
//! let mut scheduler = Scheduler::new(SchedulerConfig {
//!     max_sequences: 8,
//!     max_batch_tokens: 256,
//!     max_skips_per_level: 32,
//! })?;
//! let id = SequenceId(1);
//! scheduler.add(Sequence::new(id, vec![5, 6, 7]))?;
//!
//! for _ in 0..3 {
//!     let batch = scheduler.schedule(&mut pool);
//!     for item in &batch.items {
//!         let input = scheduler.input(item);
//!         // The engine computes `input` at positions `item.start..` and samples where it must.
//!         let sampled: &[u32] = if item.needs_logits { &[input[0] + 1] } else { &[] };
//!         scheduler.commit(item.id, sampled)?;
//!     }
//! }
//! assert_eq!(scheduler.finish(id, &mut pool), Some(vec![5, 6, 7, 6, 7, 8]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! - Sequences are served in an order that is settled when they arrive: first come, first served,
//!   except that a higher priority goes ahead of up to
//!   [`max_skips_per_level`](SchedulerConfig::max_skips_per_level) earlier arrivals per step of priority.
//!   Ageing is counted in arrivals, not in time.
//! - The first sequence in that order is part of every step. So every sequence of finite length
//!   completes.
//! - A step never has more than `max_batch_tokens` tokens or `max_sequences` sequences.
//! - When blocks run out, the running sequence that is last in that order gives way. It also gives
//!   way to a waiting one that comes before it. It keeps its place in the order, and what it had
//!   computed stays findable, so only what was reused meanwhile is computed again.
//! - The scheduler is the only user of the pool it is given.
//! - Deliberately absent: clocks, channels, devices, sampling, text. Same calls, same batches.

mod batch;
mod config;
mod scheduler;
mod sequence;

pub use batch::{Batch, Rejected, Rejection, Scheduled};
pub use config::{ConfigError, SchedulerConfig};
pub use scheduler::{AddError, CommitError, Scheduler};
pub use sequence::{Priority, Sequence, SequenceId, SequenceState};
