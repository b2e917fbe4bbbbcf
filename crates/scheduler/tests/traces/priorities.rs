//! Priorities and preemption.

use insta::assert_snapshot;
use mlxm_scheduler::Priority;

use crate::trace::{Trace, full};

#[test]
fn higher_priority_starts_first_and_ties_are_first_come_first_served() {
    let mut trace = Trace::new(1, 16, full(32));
    trace.add_with_priority(Priority::Low, 1, 4, 5).add(2, 4, 5);
    trace
        .add(3, 4, 5)
        .add_with_priority(Priority::High, 4, 4, 5);
    assert_snapshot!(trace.run(), @r"
    4[0..4]*
    2[0..4]*
    3[0..4]*
    1[0..4]*
    ");
}

#[test]
fn max_skips_limits_later_arrivals_of_higher_priority() {
    let mut trace = Trace::new(1, 16, full(32));
    trace.add(0, 4, 5);
    for id in 1..6 {
        trace.add_with_priority(Priority::High, id, 4, 5);
    }
    assert_snapshot!(trace.run(), @r"
    1[0..4]*
    2[0..4]*
    0[0..4]*
    3[0..4]*
    4[0..4]*
    5[0..4]*
    ");
}

#[test]
fn higher_priority_preempts_lower_which_resumes_later() {
    let mut trace = Trace::new(2, 16, full(32));
    trace
        .add(1, 4, 8)
        .add_with_priority(Priority::Low, 2, 9, 14);
    trace.step();
    trace.add_with_priority(Priority::High, 3, 4, 6);
    assert_snapshot!(trace.run(), @r"
    1[0..4]* 2[0..9]*
    1[4..5]* 3[0..4]* preempt 2
    3[4..5]* 1[5..6]*
    1[6..7]* 2[8..10]*
    2[10..11]*
    2[11..12]*
    2[12..13]*
    ");
}

#[test]
fn lowest_priority_is_preempted_when_blocks_run_out() {
    let mut trace = Trace::new(3, 16, full(5));
    trace
        .add_with_priority(Priority::Low, 1, 7, 11)
        .add(2, 8, 14);
    assert_snapshot!(trace.run(), @r"
    2[0..8]* 1[0..7]*
    2[8..9]* 1[7..8]*
    2[9..10]* preempt 1
    2[10..11]*
    2[11..12]*
    2[12..13]*
    1[4..9]*
    1[9..10]*
    ");
}

#[test]
fn preemption_does_not_happen_if_it_frees_too_few_blocks() {
    let mut trace = Trace::new(4, 32, full(10));
    trace.add_with_priority(Priority::High, 1, 24, 28);
    trace.add_with_priority(Priority::Low, 2, 4, 8);
    trace.step();
    // Preempting 2 would not free enough blocks for 3.
    trace.add(3, 20, 21);
    assert_snapshot!(trace.run(), @r"
    1[0..24]* 2[0..4]*
    1[24..25]* 2[4..5]*
    1[25..26]* 2[5..6]*
    1[26..27]* 2[6..7]*
    3[0..20]*
    ");
}

#[test]
fn higher_priority_prompt_is_prefilled_first() {
    let mut trace = Trace::new(3, 8, full(32));
    trace.add_with_priority(Priority::Low, 1, 20, 21);
    trace.step();
    trace.add_with_priority(Priority::High, 2, 12, 13);
    assert_snapshot!(trace.run(), @r"
    1[0..8]
    2[0..7] 1[8..9]
    2[7..12]* 1[9..12]
    1[12..20]*
    ");
}
