//! Snapshots of small workloads. Each line is a step: `id[start..end]` per item, `+n` for drafts, `*` where the next
//! token is sampled.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use insta::assert_snapshot;
use mlxm_kvcache::{GroupConfig, GroupKind};
use mlxm_scheduler::{
    AddError, CommitError, ConfigError, Scheduler, SchedulerConfig, Sequence, SequenceId,
};

mod priorities;
mod trace;

use trace::{Trace, describe, full};

#[test]
fn long_prompt_is_prefilled_in_chunks() {
    assert_snapshot!(Trace::new(1, 4, full(8)).add(1, 10, 13).run(), @r"
    1[0..4]
    1[4..8]
    1[8..10]*
    1[10..11]*
    1[11..12]*
    ");
}

#[test]
fn limit_of_a_step_shortens_chunks_within_the_configured_bounds() {
    let mut trace = Trace::new(2, 8, full(32));
    trace.add(1, 20, 21).step();
    trace.scheduler.limit_step_tokens(3);
    trace.step();
    // Two sequences must be able to advance.
    trace.scheduler.limit_step_tokens(0);
    trace.step();
    trace.scheduler.limit_step_tokens(100);
    trace.add(2, 6, 7);
    assert_snapshot!(trace.run(), @r"
    1[0..8]
    1[8..11]
    1[11..13]
    1[13..20]* 2[0..1]
    2[1..6]*
    ");
}

#[test]
fn decoding_sequences_are_scheduled_before_prefill_chunks() {
    let mut trace = Trace::new(4, 6, full(32));
    trace.add(1, 3, 8).add(2, 12, 14).add(3, 2, 4);
    assert_snapshot!(trace.run(), @r"
    1[0..3]* 2[0..3]
    1[3..4]* 2[3..8]
    1[4..5]* 2[8..12]* 3[0..1]
    1[5..6]* 2[12..13]* 3[1..2]*
    1[6..7]* 3[2..3]*
    ");
}

#[test]
fn sequences_beyond_max_sequences_wait() {
    let mut trace = Trace::new(2, 16, full(32));
    trace.add(1, 4, 6).add(2, 4, 7).add(3, 4, 5).add(4, 4, 5);
    assert_snapshot!(trace.run(), @r"
    1[0..4]* 2[0..4]*
    1[4..5]* 2[4..5]*
    2[5..6]* 3[0..4]*
    4[0..4]*
    ");
}

#[test]
fn newest_sequence_is_preempted_and_reuses_its_cached_prefix() {
    let mut trace = Trace::new(3, 16, full(5));
    trace.add(1, 7, 14).add(2, 8, 11);
    assert_snapshot!(trace.run(), @r"
    1[0..7]* 2[0..8]*
    1[7..8]* 2[8..9]*
    1[8..9]* preempt 2
    1[9..10]*
    1[10..11]*
    1[11..12]*
    1[12..13]*
    2[4..10]*
    ");
}

#[test]
fn preempted_sequence_has_no_computed_tokens() {
    let mut trace = Trace::new(3, 16, full(5));
    trace.add(1, 7, 14).add(2, 8, 11);
    while trace.step().preempted.is_empty() {}
    let state = trace.scheduler.sequence(SequenceId(2)).unwrap();
    assert_eq!(state.computed_tokens(), 0);
    assert_eq!(state.tokens().len(), 10);
    assert!(state.cache().is_none());
    assert_eq!(trace.scheduler.waiting(), 1);
    assert_eq!(trace.scheduler.running(), 1);
}

#[test]
fn sequence_waits_until_its_prompt_fits_completely() {
    let mut trace = Trace::new(3, 16, full(5));
    trace.add(1, 8, 10).add(2, 16, 17).add(3, 1, 2);
    assert_snapshot!(trace.run(), @r"
    1[0..8]*
    1[8..9]*
    2[0..16]*
    3[0..1]*
    ");
}

#[test]
fn drafts_leave_token_budget_for_every_prefill() {
    let mut trace = Trace::new(2, 4, full(16));
    trace.add(1, 2, 100).add(2, 9, 100);
    trace.step();
    let Trace {
        scheduler, pool, ..
    } = &mut trace;
    scheduler.propose(SequenceId(1), &[7, 7, 7, 7, 7]);
    assert_snapshot!(describe(&scheduler.schedule(pool)), @"1[2..3]+2* 2[2..3]");
}

#[test]
fn sequence_already_scheduled_in_the_step_can_be_preempted() {
    let mut trace = Trace::new(2, 16, full(3));
    trace.add(1, 3, 100).add(2, 3, 100);
    trace.step();
    let Trace {
        scheduler, pool, ..
    } = &mut trace;
    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[3..4]* 2[3..4]*");
    // Six tokens at once, as when a grammar allows only one continuation.
    scheduler.commit(SequenceId(1), &[5; 6]).unwrap();
    scheduler.commit(SequenceId(2), &[5]).unwrap();
    assert_snapshot!(describe(&scheduler.schedule(pool)), @"1[4..10]* preempt 2");
}

#[test]
fn prompt_reuses_the_cached_prefix_of_an_earlier_one() {
    let mut trace = Trace::new(1, 16, full(8));
    trace.add_tokens(1, (0..10).collect(), 11);
    trace.add_tokens(2, (0..12).collect(), 13);
    trace.step();
    trace.step();
    let second = trace.scheduler.sequence(SequenceId(2));
    assert!(second.is_none());
    assert_snapshot!(trace.run(), @r"
    1[0..10]*
    2[8..12]*
    ");
}

#[test]
fn sequence_that_can_never_fit_is_rejected_and_the_next_continues() {
    let mut trace = Trace::new(2, 16, full(2));
    trace.add(1, 9, 10).add(2, 3, 5);
    assert_snapshot!(trace.run(), @r"
    2[0..3]* reject 1: the sequence has 9 tokens but the KV cache holds 8; shorten the prompt or give the cache more memory
    2[3..4]*
    ");
}

#[test]
fn sequence_that_outgrows_the_pool_is_rejected() {
    let mut trace = Trace::new(1, 16, full(2));
    trace.add(1, 6, 100);
    assert_snapshot!(trace.run(), @r"
    1[0..6]*
    1[6..7]*
    1[7..8]*
    reject 1: the sequence has 9 tokens but the KV cache holds 8; shorten the prompt or give the cache more memory
    ");
}

#[test]
fn small_sliding_window_group_limits_chunk_size() {
    let window = GroupConfig {
        kind: GroupKind::SlidingWindow { window: 5 },
        blocks: 3,
    };
    let mut trace = Trace::new(1, 32, vec![full(16).remove(0), window]);
    trace.add(1, 30, 33);
    assert_snapshot!(trace.run(), @r"
    1[0..12]
    1[12..20]
    1[20..28]
    1[28..30]*
    1[30..31]*
    1[31..32]*
    ");
}

#[test]
fn cancelled_sequence_is_removed_after_the_step() {
    let mut trace = Trace::new(1, 16, full(8));
    trace.add(1, 4, 100).add(2, 4, 6);
    trace.step();
    let batch = trace.scheduler.schedule(&mut trace.pool);
    assert!(trace.scheduler.cancel(SequenceId(1)));
    assert!(!trace.scheduler.cancel(SequenceId(1)));
    let item = batch.items[0];
    assert_eq!(trace.scheduler.input(&item).len(), 1);
    assert_eq!(trace.scheduler.commit(item.id, &[7]), Ok(()));
    assert_snapshot!(trace.run(), @r"
    1[0..4]*
    2[0..4]* cancel 1
    2[4..5]*
    ");
    assert_eq!(trace.pool.free_blocks(0), 8);
}

#[test]
fn accepted_drafts_are_kept_and_rejected_ones_rolled_back() {
    let mut trace = Trace::new(1, 5, full(8));
    trace.add(1, 4, 100);
    trace.step();
    let id = SequenceId(1);
    let Trace {
        scheduler, pool, ..
    } = &mut trace;

    scheduler.propose(id, &[50, 51, 52, 53, 54]);
    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[4..5]+4*");
    assert_eq!(scheduler.input(&batch.items[0]), [4, 50, 51, 52, 53]);
    assert_eq!(scheduler.sequence(id).unwrap().tokens().len(), 5);
    scheduler.commit(id, &[50, 51, 99]).unwrap();
    assert_eq!(scheduler.sequence(id).unwrap().computed_tokens(), 7);

    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[7..8]*");
    assert_eq!(scheduler.input(&batch.items[0]), [99]);
    assert_eq!(
        scheduler.sequence(id).unwrap().cache().unwrap().capacity(),
        8
    );
    scheduler.commit(id, &[1, 2]).unwrap();

    // Committed tokens that were not drafts are not computed yet.
    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[8..10]*");
    scheduler.commit(id, &[3]).unwrap();

    // If only drafts are committed, the last one is recomputed for its logits.
    scheduler.propose(id, &[60, 61]);
    scheduler.schedule(pool);
    scheduler.commit(id, &[60]).unwrap();
    assert_snapshot!(describe(&scheduler.schedule(pool)), @"1[11..12]*");
}

#[test]
fn uncommitted_step_is_scheduled_again() {
    let mut trace = Trace::new(1, 16, full(8));
    trace.add(1, 6, 7);
    let first = trace.scheduler.schedule(&mut trace.pool);
    let again = trace.scheduler.schedule(&mut trace.pool);
    assert_eq!(first, again);
}

#[test]
fn sequence_without_prefix_caching_neither_hits_nor_caches() {
    let mut trace = Trace::new(1, 16, full(8));
    for (id, prefix_caching) in [(1, false), (2, true), (3, false), (4, true)] {
        let sequence = Sequence {
            prefix_caching,
            ..Sequence::new(SequenceId(id), (0..9 + id as u32).collect())
        };
        trace.scheduler.add(sequence).unwrap();
        trace.goals.push((SequenceId(id), 10 + id as usize));
    }
    assert_snapshot!(trace.run(), @r"
    1[0..10]*
    2[0..11]*
    3[0..12]*
    4[8..13]*
    ");
}

#[test]
fn invalid_calls_return_errors() {
    let mut trace = Trace::new(1, 4, full(8));
    let (id, other) = (SequenceId(1), SequenceId(2));
    let scheduler = &mut trace.scheduler;
    let empty = Sequence::new(id, Vec::new());
    assert_eq!(scheduler.add(empty), Err(AddError::Empty(id)));
    let sequence = Sequence::new(id, vec![1; 6]);
    assert_eq!(scheduler.add(sequence.clone()), Ok(()));
    assert_eq!(scheduler.add(sequence), Err(AddError::Duplicate(id)));
    let not_scheduled = Err(CommitError::NotScheduled(id));
    assert_eq!(scheduler.commit(id, &[]), not_scheduled);
    scheduler.schedule(&mut trace.pool);
    let early = Err(CommitError::BeforeLastToken(id));
    assert_eq!(scheduler.commit(id, &[1]), early);
    assert_eq!(scheduler.commit(id, &[]), Ok(()));
    assert_eq!(scheduler.commit(id, &[]), not_scheduled);
    assert_eq!(
        scheduler.commit(other, &[]),
        Err(CommitError::Unknown(other))
    );
    assert_eq!(scheduler.finish(other, &mut trace.pool), None);
    assert!(!scheduler.cancel(other));

    let new = |max_sequences, max_batch_tokens| {
        let config = SchedulerConfig {
            max_sequences,
            max_batch_tokens,
            max_skips_per_level: 2,
        };
        Scheduler::new(config).map(|_| ())
    };
    assert_eq!(new(0, 4), Err(ConfigError::NoSequences));
    assert!(matches!(new(5, 4), Err(ConfigError::BatchTooSmall { .. })));
}
