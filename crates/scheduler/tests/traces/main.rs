//! Small workloads, step by step. A line is a step: `id[start..end]` per item, `+n` for drafts,
//! `*` where the next token is sampled.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use insta::assert_snapshot;
use mlxm_kvcache::{GroupConfig, GroupKind};
use mlxm_scheduler::{
    AddError, CommitError, ConfigError, Scheduler, SchedulerConfig, Sequence, SequenceId,
};

mod priorities;
mod trace;

use trace::{Trace, describe, full};

#[test]
fn a_prompt_is_computed_in_chunks_and_then_token_by_token() {
    assert_snapshot!(Trace::new(1, 4, full(8)).add(1, 10, 13).run(), @r"
    1[0..4]
    1[4..8]
    1[8..10]*
    1[10..11]*
    1[11..12]*
    ");
}

#[test]
fn generating_sequences_go_before_prompts() {
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
fn sequences_beyond_the_limit_wait_their_turn() {
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
fn the_newest_gives_way_and_finds_its_prefix_again() {
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
fn a_preempted_sequence_has_nothing_computed() {
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
fn a_sequence_waits_until_it_fits_as_a_whole() {
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
fn drafts_leave_room_for_every_prompt() {
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
fn a_sequence_gives_way_even_when_it_was_planned_already() {
    let mut trace = Trace::new(2, 16, full(3));
    trace.add(1, 3, 100).add(2, 3, 100);
    trace.step();
    let Trace {
        scheduler, pool, ..
    } = &mut trace;
    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[3..4]* 2[3..4]*");
    // Six tokens at once, as a grammar that allows only one continuation would commit.
    scheduler.commit(SequenceId(1), &[5; 6]).unwrap();
    scheduler.commit(SequenceId(2), &[5]).unwrap();
    assert_snapshot!(describe(&scheduler.schedule(pool)), @"1[4..10]* preempt 2");
}

#[test]
fn a_prompt_finds_what_an_earlier_one_left() {
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
fn a_sequence_that_can_never_fit_is_reported_and_the_next_goes_on() {
    let mut trace = Trace::new(2, 16, full(2));
    trace.add(1, 9, 10).add(2, 3, 5);
    assert_snapshot!(trace.run(), @r"
    2[0..3]* reject 1: the sequence has 9 tokens but the cache holds 8; shorten the prompt or give the cache more memory
    2[3..4]*
    ");
}

#[test]
fn a_sequence_that_outgrows_the_pool_is_reported() {
    let mut trace = Trace::new(1, 16, full(2));
    trace.add(1, 6, 100);
    assert_snapshot!(trace.run(), @r"
    1[0..6]*
    1[6..7]*
    1[7..8]*
    reject 1: the sequence has 9 tokens but the cache holds 8; shorten the prompt or give the cache more memory
    ");
}

#[test]
fn a_small_window_group_makes_chunks_smaller() {
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
fn a_cancelled_sequence_is_gone_after_the_step() {
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
fn right_drafts_are_kept_and_wrong_ones_rolled_back() {
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

    // Tokens that were not drafts have no keys and values yet.
    let batch = scheduler.schedule(pool);
    assert_snapshot!(describe(&batch), @"1[8..10]*");
    scheduler.commit(id, &[3]).unwrap();

    // If only drafts are committed, the last one is computed again for its output.
    scheduler.propose(id, &[60, 61]);
    scheduler.schedule(pool);
    scheduler.commit(id, &[60]).unwrap();
    assert_snapshot!(describe(&scheduler.schedule(pool)), @"1[11..12]*");
}

#[test]
fn a_step_that_was_not_committed_is_planned_again() {
    let mut trace = Trace::new(1, 16, full(8));
    trace.add(1, 6, 7);
    let first = trace.scheduler.schedule(&mut trace.pool);
    let again = trace.scheduler.schedule(&mut trace.pool);
    assert_eq!(first, again);
}

#[test]
fn a_private_sequence_neither_finds_nor_leaves_a_prefix() {
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
fn wrong_calls_are_refused() {
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
