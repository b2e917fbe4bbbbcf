//! How often residency sets are filled, committed, wired and unwired.

use super::fake::{Call, Shared, compile, dispatches, map, run};
use crate::metal::{
    BufferId, Device,
    apple::{gpu::Gpu, residency::MAX_SETS, tests::fake::Fake},
};

/// Calls of residency sets: added, removed, committed, requested, ended.
fn counts(calls: &[Call]) -> [usize; 5] {
    let count = |is: fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count();
    [
        count(|call| matches!(call, Call::Add { .. })),
        count(|call| matches!(call, Call::Remove { .. })),
        count(|call| matches!(call, Call::CommitSet(_))),
        count(|call| matches!(call, Call::Request(_))),
        count(|call| matches!(call, Call::End(_))),
    ]
}

fn use_once(gpu: &Gpu<Fake>, buffer: BufferId) {
    let pipeline = compile(gpu, &["a"])[0];
    run(gpu, &dispatches(pipeline, buffer, 1, 1)).unwrap();
}

/// The pages of a full set.
const SET_PAGES: usize = 100;

#[test]
fn sets_are_small_and_committed_once() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let first = map(&gpu, 40).unwrap();
    for _ in 1..10 {
        map(&gpu, 40).unwrap();
    }
    // 2 of 40 pages fit in each set.
    let sets = shared.take();
    assert_eq!(counts(&sets), [10, 0, 0, 0, 0]);
    let new = |call: &&Call| matches!(call, Call::NewSet(_));
    assert_eq!(sets.iter().filter(new).count(), 5);
    use_once(&gpu, first);
    assert_eq!(counts(&shared.take()), [0, 0, 5, 5, 0]);
    use_once(&gpu, first);
    assert_eq!(counts(&shared.take()), [0, 0, 0, 0, 0]);
}

#[test]
fn buffer_larger_than_a_set_has_its_own() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    map(&gpu, 1).unwrap();
    map(&gpu, 3 * SET_PAGES).unwrap();
    map(&gpu, 1).unwrap();
    let added: Vec<_> = shared
        .take()
        .into_iter()
        .filter(|call| matches!(call, Call::Add { .. }))
        .collect();
    let add = |set, buffer| Call::Add { set, buffer };
    assert_eq!(added, [add(0, 0), add(1, 1), add(0, 2)]);
}

#[test]
fn queue_has_at_most_32_sets() {
    let shared = Shared::new();
    shared.log().max_buffer_bytes = usize::MAX;
    let gpu = shared.gpu();
    for number in 0..50 {
        map(&gpu, SET_PAGES - number).unwrap();
    }
    let calls = shared.take();
    let new = |call: &&Call| matches!(call, Call::NewSet(_));
    assert_eq!(calls.iter().filter(new).count(), MAX_SETS);
    assert_eq!(counts(&calls)[0], 50);
}

#[test]
fn memory_mapped_later_does_not_change_wired_sets() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let first = map(&gpu, 1).unwrap();
    use_once(&gpu, first);
    shared.take();
    map(&gpu, 1).unwrap();
    use_once(&gpu, first);
    let calls = shared.take();
    assert_eq!(counts(&calls), [1, 0, 1, 1, 0]);
    assert!(calls.contains(&Call::Add { set: 1, buffer: 1 }));
}

#[test]
fn set_is_unwired_before_a_buffer_leaves_it() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let first = map(&gpu, 1).unwrap();
    let second = map(&gpu, 1).unwrap();
    use_once(&gpu, first);
    shared.take();
    gpu.unmap(second);
    let expected = [
        Call::End(0),
        Call::Remove { set: 0, buffer: 1 },
        Call::CommitSet(0),
        Call::ReleaseBuffer(1),
    ];
    assert_eq!(shared.take(), expected);
    // What is left is wired again when it is used.
    use_once(&gpu, first);
    assert_eq!(counts(&shared.take()), [0, 0, 0, 1, 0]);
}

#[test]
fn beat_keeps_wired_sets_only() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let mut beat = gpu.beat();
    let first = map(&gpu, SET_PAGES).unwrap();
    beat();
    assert_eq!(counts(&shared.take())[3], 0);
    use_once(&gpu, first);
    map(&gpu, SET_PAGES).unwrap();
    shared.take();
    beat();
    assert_eq!(shared.take(), [Call::Request(0)]);
}

#[test]
fn drop_waits_and_unwires_before_memory_is_released() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    shared.log().slow.insert(0);
    let work = dispatches(pipeline, buffer, 1, 1);
    let commands = crate::metal::Commands { dispatches: &work };
    gpu.submit(&commands).unwrap();
    shared.take();
    drop(gpu);
    let expected = [Call::Wait(0), Call::End(0), Call::ReleaseBuffer(0)];
    assert_eq!(shared.take(), expected);
}

#[test]
fn systems_without_sets_run_without_them() {
    let shared = Shared::new();
    shared.log().sets_supported = false;
    let gpu = shared.gpu();
    let buffer = map(&gpu, 4).unwrap();
    use_once(&gpu, buffer);
    (gpu.beat())();
    gpu.unmap(buffer);
    assert_eq!(counts(&shared.take()), [0; 5]);
}
