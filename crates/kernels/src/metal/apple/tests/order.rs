//! Order of calls, barriers, command buffers, waits and autorelease pools.

use super::fake::{Call, Shared, compile, dispatch, dispatches, map, run};
use crate::metal::{Commands, Device};

#[test]
fn dispatches_are_encoded_in_order_with_their_barriers() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipelines = compile(&gpu, &["a", "b"]);
    shared.take();
    let work = [
        (pipelines[0], false, dispatch(1, buffer)),
        (pipelines[0], false, dispatch(2, buffer)),
        (pipelines[1], true, dispatch(3, buffer)),
        (pipelines[0], false, dispatch(4, buffer)),
    ];
    gpu.submit(&Commands { dispatches: &work }).unwrap();
    let mut expected = vec![Call::CommitSet(0), Call::Request(0), Call::Encoder(0)];
    let steps: [(u8, bool, Option<&str>); 4] = [
        (1, false, Some("a")),
        (2, false, None),
        (3, true, Some("b")),
        (4, false, Some("a")),
    ];
    for (argument, barrier, pipeline) in steps {
        if barrier {
            expected.push(Call::Barrier);
        }
        expected.extend(pipeline.map(|name| Call::SetPipeline(name.into())));
        let set_buffer = |index, offset| Call::SetBuffer {
            index,
            buffer: 0,
            offset,
        };
        expected.extend([
            Call::SetBytes(vec![argument; 4]),
            set_buffer(1, 0),
            set_buffer(2, 64),
            Call::Dispatch {
                threadgroups: [2, 3, 1],
                threads: 64,
            },
        ]);
    }
    expected.push(Call::Commit(0));
    assert_eq!(shared.take(), expected);
}

#[test]
fn pass_of_three_command_buffers_has_one_wait() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    // All run until they are waited for.
    shared.log().slow.extend(0..3);
    let work = dispatches(pipeline, buffer, 100, 1);
    let submissions = [(); 3].map(|()| gpu.submit(&Commands { dispatches: &work }).unwrap());
    let started = shared.take();
    let count = |is: fn(&Call) -> bool| started.iter().filter(|call| is(call)).count();
    assert_eq!(count(|call| matches!(call, Call::Commit(_))), 3);
    assert_eq!(count(|call| matches!(call, Call::Dispatch { .. })), 300);
    // A boundary of command buffers is a barrier.
    assert_eq!(count(|call| matches!(call, Call::Barrier)), 297);
    for submission in submissions.iter().rev() {
        gpu.wait(*submission).unwrap();
    }
    assert_eq!(shared.take(), [Call::Wait(2)]);
}

#[test]
fn ended_work_is_not_waited_for() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    run(&gpu, &dispatches(pipeline, buffer, 100, 1)).unwrap();
    let waits = |call: &Call| matches!(call, Call::Wait(_));
    assert!(!shared.take().iter().any(waits));
}

#[test]
fn command_buffers_in_flight_are_limited() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    shared.log().slow.extend(0..100);
    let work = dispatches(pipeline, buffer, 3, 1);
    for _ in 0..100 {
        gpu.submit(&Commands { dispatches: &work }).unwrap();
        // A queue blocks at 64.
        let running = shared.running();
        assert!(running <= 16, "{running} command buffers are in flight");
    }
    assert_eq!(shared.running(), 16);
}

#[test]
fn repeated_pass_allocates_nothing() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 8).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    let work = dispatches(pipeline, buffer, 100, 3);
    run(&gpu, &work).unwrap();
    shared.take();
    for _ in 0..3 {
        run(&gpu, &work).unwrap();
        let other = shared.take().into_iter().find(|call| {
            matches!(
                call,
                Call::Buffer { .. }
                    | Call::ReleaseBuffer(_)
                    | Call::NewSet(_)
                    | Call::Add { .. }
                    | Call::Remove { .. }
                    | Call::CommitSet(_)
                    | Call::Request(_)
                    | Call::End(_)
            )
        });
        assert_eq!(other, None);
    }
}

#[test]
fn every_call_is_in_an_autorelease_pool() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let (kept, unmapped) = (map(&gpu, 1).unwrap(), map(&gpu, 2).unwrap());
    let pipeline = compile(&gpu, &["a"])[0];
    shared.log().slow.extend(0..10);
    run(&gpu, &dispatches(pipeline, kept, 100, 1)).unwrap();
    (gpu.beat())();
    gpu.unmap(unmapped);
    let work = dispatches(pipeline, kept, 5, 1);
    gpu.submit(&Commands { dispatches: &work }).unwrap();
    drop(gpu);
    assert!(shared.take().len() > 100);
    assert_eq!(shared.log().outside_pools, 0);
}
