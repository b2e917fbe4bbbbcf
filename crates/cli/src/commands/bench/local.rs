//! Measuring a model in this process.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{BLOCK_SIZE, Engine, Event, Generation, Request};

use super::random::SplitMix64;
use super::speeds::{Speeds, Timing};
use super::{Bench, Row};
use crate::context::Context;

/// Loads the model for `batch` sequences and measures them.
pub fn measure(
    bench: &Bench,
    context: &Context,
    model: &Path,
    batch: usize,
) -> anyhow::Result<Row> {
    let (prompt_tokens, gen_tokens) = (bench.prompt_tokens as usize, bench.gen_tokens as usize);
    let mut options = context.load_options();
    options.context_length = Some(prompt_tokens + gen_tokens);
    options.max_sequences = batch;
    // The whole batch runs at the same time, or does not fit.
    let blocks = (prompt_tokens + gen_tokens).div_ceil(BLOCK_SIZE);
    options.kv_pool_tokens = Some(blocks * BLOCK_SIZE * batch);
    let engine = context.load(model, &options)?;
    engine.promote_huge_pages()?;

    let mut runs = Vec::new();
    // Run 0 warms up: page cache, thread pool, allocator.
    for run in 0..=usize::from(bench.repeat) {
        let timings = submit(bench, &engine, batch, run)?;
        if run > 0 {
            runs.push(Speeds::of(&timings, prompt_tokens * batch));
        }
    }
    let mut row = Row::from_runs(batch, prompt_tokens, gen_tokens, &runs);
    row.peak_rss_bytes = Some(mlxm_engine::peak_resident_bytes());
    Ok(row)
}

/// Submits a batch and records the time of each token.
fn submit(bench: &Bench, engine: &Engine, batch: usize, run: usize) -> anyhow::Result<Vec<Timing>> {
    let vocab_size = engine.info().vocab_size as u64;
    let mut random = SplitMix64::of(batch, run);
    let prompts: Vec<Vec<u32>> = (0..batch)
        .map(|_| {
            (0..bench.prompt_tokens)
                .map(|_| random.below(vocab_size) as u32)
                .collect()
        })
        .collect();
    let start = Instant::now();
    let generations: Vec<Generation> = prompts
        .into_iter()
        .map(|prompt| {
            engine.submit(Request {
                prompt,
                sampling: SamplingParams::default(),
                max_tokens: Some(bench.gen_tokens as usize),
                ignore_eos: true,
                no_prefix_cache: true,
                ..Request::default()
            })
        })
        .collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        let readers: Vec<_> = generations
            .into_iter()
            .map(|generation| scope.spawn(move || token_times(generation, start)))
            .collect();
        readers
            .into_iter()
            .map(|reader| {
                let times = reader
                    .join()
                    .map_err(|_| anyhow::anyhow!("a benchmark thread panicked"))??;
                Ok(Timing {
                    times,
                    tokens_per_delta: 1.0,
                })
            })
            .collect()
    })
}

fn token_times(generation: Generation, start: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for event in generation {
        if let Event::Token(_) = event.context("while measuring")? {
            times.push(start.elapsed());
        }
    }
    Ok(times)
}
