//! Whole checkpoints on the Metal backend: logits and completions are those of the CPU.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounds;
use crate::device::device;
use mlxm_engine::{
    ActivationDtype, Engine, Event, Generation, GenerationError, KvCacheDtype, LoadOptions, Request,
};
use mlxm_kernels::Kernels;
use mlxm_metal_host::{HostDevice, Options, Order};

/// Longer than a block of the cache, and than the windows of the checkpoints.
const PROMPT: usize = 45;

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden");
    let folders = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 6);
    found
}

fn options(kv_cache_dtype: KvCacheDtype) -> LoadOptions {
    LoadOptions {
        activation_dtype: ActivationDtype::F32,
        kv_cache_dtype: Some(kv_cache_dtype),
        threads: Some(1),
        context_length: Some(192),
        max_batch_tokens: 64,
        max_sequences: 3,
        ..LoadOptions::default()
    }
}

fn load(folder: &Path, options: &LoadOptions, device: Arc<HostDevice>) -> Engine {
    Engine::load_on(folder, options, Kernels::on_device(device)).unwrap()
}

fn tokens(seed: u32, len: usize, engine: &Engine) -> Vec<u32> {
    let vocab_size = engine.info().vocab_size as u32;
    let mut noise = crate::noise::Noise::new(u64::from(seed));
    (0..len).map(|_| noise.bits() % vocab_size).collect()
}

/// The largest deviation, relative to the range of the expected values.
fn deviation(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let highest = expected.iter().copied().fold(f32::MIN, f32::max);
    let lowest = expected.iter().copied().fold(f32::MAX, f32::min);
    let deltas = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // Not `f32::max`, which ignores NaN.
    let worst = deltas.fold(
        0.0,
        |worst, delta| if delta <= worst { worst } else { delta },
    );
    worst / (highest - lowest)
}

/// The largest deviation of logits from those of the CPU.
fn logits_bound(engine: &Engine) -> f32 {
    // Their feed-forward blocks are as wide as hidden states.
    let info = engine.info();
    let exact = bounds::logits(info.architecture, info.layers, info.hidden_size);
    bounds::of_both(exact)
}

fn greedy(prompt: Vec<u32>, max_tokens: usize) -> Request {
    Request {
        prompt,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..Request::default()
    }
}

fn collect(generation: Generation) -> Result<Vec<u32>, GenerationError> {
    let mut tokens = Vec::new();
    for event in generation {
        if let Event::Token(token) = event? {
            tokens.push(token.id);
        }
    }
    Ok(tokens)
}

fn complete(engine: &Engine, request: Request) -> Vec<u32> {
    collect(engine.submit(request).unwrap()).unwrap()
}

/// Checks a greedy completion up to the first token that the rounding errors of a backend could change.
fn assert_completion(cpu: &Engine, prompt: &[u32], completion: &[u32], what: &str) {
    let mut all = prompt.to_vec();
    all.extend_from_slice(completion);
    let logits = cpu.logits(&all, None).unwrap();
    let rows = logits.values.chunks_exact(logits.vocab_size);
    let mut compared = 0;
    for (row, token) in rows.skip(prompt.len() - 1).zip(completion) {
        let mut sorted = row.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let range = sorted[0] - sorted[sorted.len() - 1];
        if sorted[0] - sorted[1] <= 2.0 * logits_bound(cpu) * range {
            continue;
        }
        assert_eq!(row[*token as usize], sorted[0], "{what}, token {compared}");
        compared += 1;
    }
    assert!(
        2 * compared >= completion.len(),
        "{what}: {compared} tokens"
    );
}

#[test]
fn logits_are_those_of_the_cpu() {
    for folder in golden() {
        let options = options(KvCacheDtype::F32);
        let cpu = Engine::load(&folder, &options).unwrap();
        let metal = load(
            &folder,
            &options,
            device(Order::Forward, Options::default()),
        );
        let tokens = tokens(1, PROMPT, &cpu);
        let expected = cpu.logits(&tokens, None).unwrap();
        // Prefill in one pass, in parts, and one by one.
        for chunk in [None, Some(33), Some(9), Some(3), Some(1)] {
            let logits = metal.logits(&tokens, chunk).unwrap();
            let deviation = deviation(&logits.values, &expected.values);
            bounds::check(deviation, logits_bound(&cpu), || {
                format!("{}, chunk {chunk:?}", folder.display())
            });
        }
    }
}

#[test]
fn completions_of_a_batch_are_those_of_the_cpu() {
    for (index, folder) in golden().into_iter().enumerate() {
        let options = options(KvCacheDtype::F32);
        let cpu = Engine::load(&folder, &options).unwrap();
        let order = Order::Random(index as u64);
        let device = device(order, Options::default());
        let metal = load(&folder, &options, device.clone());
        let compiled = device.pipelines();
        let prompts: Vec<Vec<u32>> = [(1, 5), (2, PROMPT), (3, 70)]
            .map(|(seed, len)| tokens(seed, len, &cpu))
            .into();
        let running: Vec<Generation> = prompts
            .iter()
            .map(|prompt| metal.submit(greedy(prompt.clone(), 32)).unwrap())
            .collect();
        for (prompt, generation) in prompts.iter().zip(running) {
            let completion = collect(generation).unwrap();
            let what = format!("{}, {} tokens", folder.display(), prompt.len());
            assert_completion(&cpu, prompt, &completion, &what);
        }
        assert_eq!(device.pipelines(), compiled, "compiled while running");
    }
}

#[test]
fn prefix_hits_and_preemption_do_not_change_completions() {
    let folder = &golden()[1];
    let options = LoadOptions {
        // Not enough for two long sequences.
        kv_pool_tokens: Some(192),
        ..options(KvCacheDtype::F16)
    };
    let metal = load(folder, &options, device(Order::Reverse, Options::default()));
    let prompts = [tokens(4, 70, &metal), tokens(5, 64, &metal)];
    let request = |prompt: &Vec<u32>| greedy(prompt.clone(), 40);
    let alone: Vec<Vec<u32>> = prompts
        .iter()
        .map(|prompt| {
            complete(
                &metal,
                Request {
                    no_prefix_cache: true,
                    ..request(prompt)
                },
            )
        })
        .collect();
    assert_eq!(complete(&metal, request(&prompts[0])), alone[0]);
    let before = metal.counters().prefix_cache_hit_tokens;
    assert_eq!(complete(&metal, request(&prompts[0])), alone[0]);
    assert!(metal.counters().prefix_cache_hit_tokens > before);
    let running = prompts.each_ref().map(|prompt| {
        let request = Request {
            no_prefix_cache: true,
            ..request(prompt)
        };
        metal.submit(request).unwrap()
    });
    let together = running.map(|generation| collect(generation).unwrap());
    assert_eq!(together.to_vec(), alone);
    assert!(metal.counters().preemptions > 0);
}

/// Bounds for logits with a cache of this type: usually, and for any input.
///
/// Both backends store the same type, rounded in the same way, so that a cache adds no error of its own. But keys and values
/// differ by rounding errors of f32 before they are stored, and those that are next to a boundary are then stored as neighbours.
/// Halves are so many that this happens with every input; each then differs by 2^-11 of its magnitude. Codes are few, so that
/// most inputs have none that differ, and the bound is that of f32.
fn cached_bounds(engine: &Engine, dtype: KvCacheDtype) -> (f32, f32) {
    let of_f32 = logits_bound(engine);
    let largest = of_f32 + bounds::logits_of_neighbours(dtype, engine.info().layers);
    match dtype {
        KvCacheDtype::F32 | KvCacheDtype::F16 => (largest, largest),
        KvCacheDtype::Int8 => (of_f32, largest),
    }
}

#[test]
fn every_cache_type_has_the_logits_of_the_cpu() {
    for (folder, dtype) in golden()
        .iter()
        .flat_map(|folder| KvCacheDtype::ALL.map(|dtype| (folder, dtype)))
    {
        let options = options(dtype);
        let cpu = Engine::load(folder, &options).unwrap();
        let metal = load(
            folder,
            &options,
            device(Order::Random(9), Options::default()),
        );
        let deviations = [6, 7, 8, 9, 10, 11, 12, 13].map(|seed| {
            let tokens = tokens(seed, PROMPT, &cpu);
            let expected = cpu.logits(&tokens, None).unwrap();
            let logits = metal.logits(&tokens, Some(40)).unwrap();
            deviation(&logits.values, &expected.values)
        });
        let (usual, largest) = cached_bounds(&cpu, dtype);
        let within = |bound| deviations.iter().filter(|x| **x <= bound).count();
        assert!(
            within(usual) >= 6 && within(largest) == deviations.len(),
            "{}, {dtype}: {deviations:?}",
            folder.display()
        );
    }
}

#[test]
fn device_and_host_take_the_same_greedy_tokens() {
    let device = device(Order::Reverse, Options::default());
    let options = options(KvCacheDtype::F16);
    let metal = load(&golden()[0], &options, device.clone());
    let prompt = tokens(14, 20, &metal);
    let dispatches_of = |request: Request| {
        let before = device.dispatches();
        let tokens = complete(&metal, request);
        (tokens, device.dispatches() - before)
    };
    let (on_device, dispatches) = dispatches_of(greedy(prompt.clone(), 12));
    // Log-probabilities are computed on the host.
    let mut request = greedy(prompt, 12);
    request.sampling.logprobs = Some(1);
    request.no_prefix_cache = true;
    let (on_host, fewer) = dispatches_of(request);
    assert_eq!(on_device, on_host);
    assert_eq!(dispatches, fewer + 12);
}

#[test]
fn failed_submission_is_an_error_and_the_next_request_is_computed() {
    let folder = &golden()[1];
    let device = device(Order::Forward, Options::default());
    let metal = load(folder, &options(KvCacheDtype::F16), device.clone());
    let prompt = tokens(7, 20, &metal);
    let expected = complete(&metal, greedy(prompt.clone(), 4));
    device.fail_submission(device.submissions());
    let error = collect(metal.submit(greedy(prompt.clone(), 4)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("made to fail"), "{error}");
    assert_eq!(complete(&metal, greedy(prompt, 4)), expected);
}

#[test]
fn memory_is_unmapped_when_the_model_is_unloaded() {
    let device = device(Order::Forward, Options::default());
    let metal = load(&golden()[1], &options(KvCacheDtype::F16), device.clone());
    let prompt = tokens(8, 5, &metal);
    complete(&metal, greedy(prompt, 2));
    assert!(device.buffers() > 0);
    drop(metal);
    // The worker thread drops the model after its last command.
    let unmapped = || device.buffers() == 0;
    while !unmapped() {
        std::thread::yield_now();
    }
}
