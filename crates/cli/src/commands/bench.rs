//! `mlxm bench`: speed at different numbers of requests at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{Engine, Event, Generation, Request};
use serde::Serialize;

use crate::context::Context;
use crate::locate;
use crate::output::{Report, Section};
use crate::units;

const HELP: &str = "\
Each row loads the model for BATCH sequences, runs once to warm up, then --repeat times, and shows the \
medians. BATCH requests with different random prompts of --prompt-tokens tokens are submitted at once; each \
generates --gen-tokens tokens, end-of-sequence tokens included.

  prefill_tps     prompt tokens of all requests / time until the last of them has its first token
  decode_tps      tokens per second of all requests together while all of them generate
  ttft_ms         mean time to the first token
  peak_rss_bytes  largest resident memory of this process so far

Examples:
  mlxm bench SmolLM2
  mlxm bench SmolLM2 --prompt-tokens 512 --gen-tokens 64 --batch 1,8,16 --threads 2 --json";

/// Measure prompt and generation speed
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Bench {
    /// Folder, repository name, or part of a local name
    model: String,

    /// Tokens of each prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    prompt_tokens: u32,

    /// Tokens each request generates
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    gen_tokens: u32,

    /// Requests at once, one row for each number
    #[arg(long, value_name = "N,…", default_value = "1", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Vec<u16>,

    /// Measured runs per row
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
}

/// The rows; as JSON an array.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Rows(Vec<Row>);

#[derive(Debug, Clone, Serialize)]
struct Row {
    batch: usize,
    prompt_tokens: usize,
    gen_tokens: usize,
    prefill_tps: f64,
    decode_tps: f64,
    ttft_ms: f64,
    peak_rss_bytes: u64,
}

impl Report for Rows {
    fn sections(&self) -> Vec<Section> {
        let mut table = Section::table(&[
            "batch",
            "prompt",
            "generated",
            "prefill tok/s",
            "decode tok/s",
            "first token",
            "peak memory",
        ])
        .numbers(&[0, 1, 2, 3, 4, 5, 6]);
        for row in &self.0 {
            table.row([
                row.batch.to_string(),
                row.prompt_tokens.to_string(),
                row.gen_tokens.to_string(),
                format!("{:.1}", row.prefill_tps),
                format!("{:.1}", row.decode_tps),
                units::duration(Duration::from_secs_f64(row.ttft_ms / 1e3)),
                units::bytes(row.peak_rss_bytes),
            ]);
        }
        vec![table]
    }

    fn brief(&self) -> Vec<String> {
        let line =
            |row: &Row| format!("{} {:.1} {:.1}", row.batch, row.prefill_tps, row.decode_tps);
        self.0.iter().map(line).collect()
    }
}

impl Bench {
    /// Measures and prints the rows.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let model = locate::local(&self.model)?;
        let rows: Vec<Row> = self
            .batch
            .iter()
            .map(|batch| {
                context
                    .output
                    .note(&format!("batch {batch}: loading and warming up"));
                self.measure(context, &model, usize::from(*batch))
            })
            .collect::<anyhow::Result<_>>()?;
        context.output.report(&Rows(rows))?;
        Ok(())
    }

    fn measure(&self, context: &Context, model: &Path, batch: usize) -> anyhow::Result<Row> {
        let (prompt_tokens, gen_tokens) = (self.prompt_tokens as usize, self.gen_tokens as usize);
        let mut options = context.load_options();
        options.context_length = Some(prompt_tokens + gen_tokens);
        options.max_sequences = batch;
        let engine = context.load(model, &options)?;
        engine.settle()?;

        let mut runs = Vec::new();
        // Run 0 warms up: page cache, thread pool, allocator.
        for run in 0..=usize::from(self.repeat) {
            let timings = self.run(&engine, batch, run)?;
            if run > 0 {
                runs.push(Speeds::of(&timings, prompt_tokens));
            }
        }
        let median = |of: fn(&Speeds) -> f64| median(runs.iter().map(of).collect());
        Ok(Row {
            batch,
            prompt_tokens,
            gen_tokens,
            prefill_tps: median(|speeds| speeds.prefill_tps),
            decode_tps: median(|speeds| speeds.decode_tps),
            ttft_ms: median(|speeds| speeds.ttft_ms),
            peak_rss_bytes: mlxm_engine::peak_resident_bytes(),
        })
    }

    /// Submits a batch and notes when each of its tokens came, since the submission.
    fn run(&self, engine: &Engine, batch: usize, run: usize) -> anyhow::Result<Vec<Vec<Duration>>> {
        let vocab_size = engine.info().vocab_size as u64;
        let mut random = SplitMix64((run * 1_000_003 + batch) as u64);
        let prompts: Vec<Vec<u32>> = (0..batch)
            .map(|_| {
                (0..self.prompt_tokens)
                    .map(|_| (random.next() % vocab_size) as u32)
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
                    max_tokens: Some(self.gen_tokens as usize),
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
                    reader
                        .join()
                        .map_err(|_| anyhow::anyhow!("a reader of the benchmark panicked"))?
                })
                .collect()
        })
    }
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

#[derive(Debug, Clone, Copy)]
struct Speeds {
    prefill_tps: f64,
    decode_tps: f64,
    ttft_ms: f64,
}

impl Speeds {
    fn of(timings: &[Vec<Duration>], prompt_tokens: usize) -> Self {
        let firsts: Vec<f64> = timings
            .iter()
            .filter_map(|times| times.first())
            .map(Duration::as_secs_f64)
            .collect();
        let lasts: Vec<f64> = timings
            .iter()
            .filter_map(|times| times.last())
            .map(Duration::as_secs_f64)
            .collect();
        let all_started = firsts.iter().copied().fold(0.0, f64::max);
        let first_ended = lasts.iter().copied().fold(f64::INFINITY, f64::min);
        let rate = |from: f64, to: f64| {
            let tokens = timings
                .iter()
                .flatten()
                .filter(|time| (from..=to).contains(&time.as_secs_f64()))
                .count() as f64;
            // A token that comes at `from` was computed before.
            let before = timings
                .iter()
                .flatten()
                .filter(|time| time.as_secs_f64() == from)
                .count() as f64;
            (tokens - before) / (to - from)
        };
        // When the first request ends before the last one starts, all of them never generate together: then the rate
        // from the first token to the last one is what there is.
        let decode_tps = if first_ended > all_started {
            rate(all_started, first_ended)
        } else {
            let earliest = firsts.iter().copied().fold(f64::INFINITY, f64::min);
            rate(earliest, lasts.iter().copied().fold(0.0, f64::max))
        };
        Self {
            prefill_tps: (prompt_tokens * timings.len()) as f64 / all_started,
            decode_tps: if decode_tps.is_finite() {
                decode_tps
            } else {
                0.0
            },
            ttft_ms: 1e3 * firsts.iter().sum::<f64>() / firsts.len().max(1) as f64,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// A small generator for prompts; their content does not matter, that they differ does.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(times: &[f64]) -> Vec<Duration> {
        times
            .iter()
            .map(|time| Duration::from_secs_f64(*time))
            .collect()
    }

    #[test]
    fn speeds_come_from_the_time_when_all_generate() {
        let timings = [
            seconds(&[1.0, 1.5, 2.5, 3.5]),
            seconds(&[2.0, 3.0, 4.0, 5.0]),
        ];
        let speeds = Speeds::of(&timings, 100);
        assert!((speeds.prefill_tps - 100.0).abs() < 1e-9);
        assert!((speeds.ttft_ms - 1500.0).abs() < 1e-9);
        // Between 2.0 and 3.5: 2.5 and 3.5 of the first, 3.0 of the second.
        assert!((speeds.decode_tps - 2.0).abs() < 1e-9, "{speeds:?}");
    }

    #[test]
    fn requests_that_never_overlap_still_have_a_rate() {
        let timings = [seconds(&[1.0, 2.0]), seconds(&[3.0, 4.0])];
        assert!((Speeds::of(&timings, 1).decode_tps - 1.0).abs() < 1e-9);
        assert_eq!(Speeds::of(&[seconds(&[1.0])], 1).decode_tps, 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
