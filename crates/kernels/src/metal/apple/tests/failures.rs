//! Failed command buffers, and dispatches that Metal would ignore or execute wrongly without an error.

use super::fake::{Call, MAX_THREADS, Shared, compile, dispatch, dispatches, map, run};
use crate::metal::{BufferId, Commands, Device, Dispatch, PipelineId};

#[test]
fn failure_of_any_command_buffer_reaches_the_caller() {
    for failing in 0..3 {
        let shared = Shared::new();
        let gpu = shared.gpu();
        let buffer = map(&gpu, 1).unwrap();
        let pipeline = compile(&gpu, &["a"])[0];
        let failure = "Insufficient Memory".to_owned();
        shared.log().failing.insert(failing, failure);
        let work = dispatches(pipeline, buffer, 10, 1);
        let work = Commands { dispatches: &work };
        let submissions = [(); 3].map(|()| gpu.submit(&work).unwrap());
        let error = gpu.wait(submissions[2]).unwrap_err().to_string();
        assert!(error.contains("Insufficient Memory"), "{error}");
        assert!(error.contains("loaded again"), "{error}");
        // What the KV cache has is undefined.
        shared.take();
        let again = gpu.submit(&work).unwrap_err().to_string();
        assert_eq!(again, error);
        assert_eq!(shared.take(), []);
    }
}

#[test]
fn work_after_a_failed_command_buffer_fails_too() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    shared.log().failing.insert(1, "timeout".to_owned());
    let work = dispatches(pipeline, buffer, 3, 1);
    let submissions = [(); 3].map(|()| gpu.submit(&Commands { dispatches: &work }).unwrap());
    assert_eq!(gpu.wait(submissions[0]), Ok(()));
    // The third read what the second should have written.
    for submission in &submissions[1..] {
        let error = gpu.wait(*submission).unwrap_err().to_string();
        assert!(error.contains("timeout"), "{error}");
    }
}

#[test]
fn nothing_starts_if_a_command_buffer_cannot_be_created() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    shared.log().missing_encoder = Some(0);
    let work = dispatches(pipeline, buffer, 3, 1);
    run(&gpu, &work).unwrap_err();
    let started = |call: &Call| matches!(call, Call::Commit(_));
    assert!(!shared.take().iter().any(started));
    shared.log().missing_encoder = None;
    run(&gpu, &work).unwrap();
}

#[test]
fn invalid_dispatch_starts_nothing() {
    type Change = fn(&mut PipelineId, &mut Dispatch);
    let cases: [(Change, &str); 11] = [
        (|pipeline, _| pipeline.0 = 1, "pipeline"),
        (|_, dispatch| dispatch.threads = MAX_THREADS + 32, "256"),
        (|_, dispatch| dispatch.threads = 0, "0 threads"),
        (|_, dispatch| dispatch.threadgroups[1] = 0, "grid"),
        (|_, dispatch| dispatch.arguments = vec![0; 4100], "4100"),
        (|_, dispatch| dispatch.bindings[0].index = 0, "binding 0"),
        (|_, dispatch| dispatch.bindings[1].index = 1, "binding 1"),
        (|_, dispatch| dispatch.bindings[1].index = 31, "binding 31"),
        (
            |_, dispatch| dispatch.bindings[1].range.buffer = BufferId(7),
            "does not exist",
        ),
        (
            |_, dispatch| dispatch.bindings[1].range.offset = (16 << 10) - 63,
            "not inside",
        ),
        (
            |_, dispatch| dispatch.bindings[1].range.offset = usize::MAX,
            "not inside",
        ),
    ];
    for (change, message) in cases {
        let shared = Shared::new();
        let gpu = shared.gpu();
        let buffer = map(&gpu, 1).unwrap();
        let mut pipeline = compile(&gpu, &["a"])[0];
        let mut invalid = dispatch(0, buffer);
        change(&mut pipeline, &mut invalid);
        let valid = dispatch(0, buffer);
        shared.take();
        let work = [(PipelineId(0), false, valid), (pipeline, true, invalid)];
        let error = run(&gpu, &work).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(error.contains("cannot run kernel"), "{error}");
        assert_eq!(shared.take(), []);
    }
}
