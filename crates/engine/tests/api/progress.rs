//! Progress of a load and of a prompt.

use std::cell::RefCell;

use mlxm_engine::{
    CancelToken, Engine, Event, LoadOptions, LoadProgress, PrefillProgress, Request,
};

use crate::support::{golden, options};

#[test]
fn load_progress_grows_from_zero_to_the_total() {
    let reports = RefCell::new(Vec::new());
    let engine = Engine::load_with_progress(
        golden("llama-4bit"),
        &options(),
        &CancelToken::default(),
        &|progress| reports.borrow_mut().push(progress),
    )
    .unwrap();
    let reports: Vec<LoadProgress> = reports.into_inner();
    let total_bytes = reports[0].total_bytes;
    assert_eq!(reports[0].loaded_bytes, 0);
    assert!(reports.len() > engine.info().layers, "{reports:?}");
    assert!(reports.is_sorted_by_key(|report| report.loaded_bytes));
    assert!(
        reports
            .iter()
            .all(|report| report.total_bytes == total_bytes)
    );
    assert_eq!(reports[reports.len() - 1].loaded_bytes, total_bytes);
    let files = engine.memory_plan().weights_bytes;
    assert!(total_bytes > 0 && total_bytes <= files);
}

/// The progress events of a request, which must come before all others.
fn prefill(engine: &Engine, request: Request) -> Vec<PrefillProgress> {
    let events: Vec<Event> = engine
        .submit(request)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let reports: Vec<PrefillProgress> = events
        .iter()
        .map_while(|event| match event {
            Event::Prefill(progress) => Some(*progress),
            _ => None,
        })
        .collect();
    let rest = &events[reports.len()..];
    assert!(matches!(rest[0], Event::Started(_)), "{events:?}");
    assert!(!rest.iter().any(|event| matches!(event, Event::Prefill(_))));
    reports
}

#[test]
fn prefill_progress_is_reported_after_each_step_on_request() {
    let load = LoadOptions {
        max_batch_tokens: 32,
        ..options()
    };
    let engine = Engine::load(golden("llama-4bit"), &load).unwrap();
    let request = Request {
        prompt: (1..=100).collect(),
        max_tokens: Some(2),
        ignore_eos: true,
        reports_prefill: true,
        ..Request::default()
    };
    let counts = |reports: &[PrefillProgress]| -> Vec<(usize, usize, usize)> {
        let count = |at: &PrefillProgress| (at.prompt_tokens, at.cached_tokens, at.computed_tokens);
        reports.iter().map(count).collect()
    };
    let first = prefill(&engine, request.clone());
    let expected = [(100, 0, 32), (100, 0, 64), (100, 0, 96), (100, 0, 100)];
    assert_eq!(counts(&first), expected);
    assert!(first.is_sorted_by_key(|report| report.time));
    // Three blocks of the prompt are in the prefix cache.
    let second = prefill(&engine, request.clone());
    assert_eq!(counts(&second), [(100, 96, 100)]);
    let silent = Request {
        reports_prefill: false,
        ..request
    };
    assert!(prefill(&engine, silent).is_empty());
}
