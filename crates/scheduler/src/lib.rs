//! Continuous batching with chunked prefill, priorities and preemption.
//!
//! There are no separate prefill and decode phases. A sequence has a number of tokens and a number of *computed*
//! tokens, and each step computes some of the difference for every scheduled sequence: a chunk of a long prompt, one
//! token of a decoding sequence, or several if it has draft tokens. A prefix found in the prefix cache counts as
//! computed.
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
//!         // The engine computes `input` at positions `item.start..` and samples if `needs_logits` is set.
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
//! - The scheduling order is fixed on arrival: first come, first served, except that a sequence may be skipped by up to
//!   [`max_skips_per_level`](SchedulerConfig::max_skips_per_level) later arrivals per level of higher priority. Aging
//!   is counted in arrivals, not in time.
//! - The first sequence in scheduling order is part of every step, so every sequence of finite length completes.
//! - A step has at most `max_batch_tokens` tokens, or fewer after [`limit_step_tokens`](Scheduler::limit_step_tokens), and
//!   `max_sequences` sequences.
//! - When blocks run out, the last running sequence in scheduling order is preempted. It is also preempted in favor of
//!   a waiting sequence that precedes it. It keeps its position in the order and its blocks stay in the prefix cache,
//!   so only the blocks that were reused in the meantime are recomputed.
//! - The scheduler is the only user of the block pool that is passed to it.
//! - Deliberately absent: clocks, channels, devices, sampling, text. The same calls produce the same batches.

mod batch;
mod config;
mod scheduler;
mod sequence;

pub use batch::{Batch, Rejected, Rejection, Scheduled};
pub use config::{ConfigError, SchedulerConfig};
pub use scheduler::{AddError, CommitError, Scheduler};
pub use sequence::{Priority, Sequence, SequenceId, SequenceState};
