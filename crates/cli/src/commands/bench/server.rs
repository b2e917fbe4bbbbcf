//! Benchmarks a running server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::random::SplitMix64;
use super::speeds::{Speeds, Timing};
use super::{Bench, Row};
use crate::context::Context;
use crate::remote::{Chunk, Client, Endpoint, RemoteError, Stream, StreamItem, StreamPoll};

/// Words of the prompts: a single token each in most vocabularies.
const WORDS: [&str; 32] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand", "part", "place",
    "case", "week", "company", "system", "program", "question", "work", "number", "night", "point",
    "home",
];

/// Prompt lengths in words used to estimate tokens per word.
const SAMPLES: [usize; 2] = [32, 96];

/// Timeout of a single wait.
const WAIT: Duration = Duration::from_secs(1);

/// A server's model and its estimated tokens per word.
pub struct ServerBench<'a> {
    client: &'a Client,
    model: String,
    /// Fixed tokens per prompt, and tokens per word.
    length: (f64, f64),
}

/// Result of a request.
struct Outcome {
    timing: Timing,
    prompt_tokens: usize,
    generated_tokens: usize,
}

impl<'a> ServerBench<'a> {
    /// Estimates tokens per word with two short requests.
    pub fn new(context: &Context, client: &'a Client, model: String) -> anyhow::Result<Self> {
        let mut server = Self {
            client,
            model,
            length: (0.0, 1.0),
        };
        let mut counts = Vec::new();
        for words in SAMPLES {
            let prompt = prompt(&mut SplitMix64::of(0, words), words);
            let outcome = server.send(context, &[prompt], 1)?;
            counts.push(outcome[0].prompt_tokens as f64);
        }
        let each = (counts[1] - counts[0]) / (SAMPLES[1] - SAMPLES[0]) as f64;
        if each > 0.0 {
            server.length = (counts[0] - each * SAMPLES[0] as f64, each);
        }
        Ok(server)
    }

    /// Measures `batch` concurrent requests.
    pub fn measure(&self, bench: &Bench, context: &Context, batch: usize) -> anyhow::Result<Row> {
        let gen_tokens = bench.gen_tokens as usize;
        let (fixed, each) = self.length;
        let words = ((f64::from(bench.prompt_tokens) - fixed) / each)
            .round()
            .max(1.0) as usize;
        let mut runs = Vec::new();
        let (mut prompt_tokens, mut generated_tokens) = (0, 0);
        // Run 0 warms up.
        for run in 0..=usize::from(bench.repeat) {
            let mut random = SplitMix64::of(batch, run);
            let prompts: Vec<String> = (0..batch).map(|_| prompt(&mut random, words)).collect();
            let outcomes = self.send(context, &prompts, gen_tokens)?;
            if run == 0 {
                continue;
            }
            let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
            let prompts = sum(|outcome| outcome.prompt_tokens);
            prompt_tokens += prompts;
            generated_tokens += sum(|outcome| outcome.generated_tokens);
            let timings: Vec<Timing> = outcomes.into_iter().map(|outcome| outcome.timing).collect();
            runs.push(Speeds::of(&timings, prompts));
        }
        let requests = batch * runs.len();
        let mean = |tokens: usize| (tokens as f64 / requests as f64).round() as usize;
        if generated_tokens < requests * gen_tokens {
            context.output.warn(&format!(
                "batch {batch}: completions have {} tokens on average instead of {gen_tokens}: the server stopped them early",
                mean(generated_tokens)
            ));
        }
        Ok(Row::from_runs(
            batch,
            mean(prompt_tokens),
            mean(generated_tokens),
            &runs,
        ))
    }

    /// Sends all requests concurrently and waits for the completions.
    fn send(
        &self,
        context: &Context,
        prompts: &[String],
        max_tokens: usize,
    ) -> anyhow::Result<Vec<Outcome>> {
        let start = Instant::now();
        let streams: Vec<Stream> = prompts
            .iter()
            .map(|prompt| {
                let body = json!({
                    "model": self.model,
                    "prompt": prompt,
                    "max_tokens": max_tokens,
                    "temperature": 0,
                    "ignore_eos": true,
                    "stream": true,
                    "stream_options": {"include_usage": true},
                });
                self.client.stream(Endpoint::Completion.route(), &body)
            })
            .collect();
        // Items carry their arrival time, so the streams can be read one after another.
        streams
            .iter()
            .map(|stream| read(stream, &self.client.url(), context, start))
            .collect()
    }
}

fn prompt(random: &mut SplitMix64, words: usize) -> String {
    let word = |_| WORDS[random.below(WORDS.len() as u64) as usize];
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn read(stream: &Stream, url: &str, context: &Context, start: Instant) -> anyhow::Result<Outcome> {
    let mut times: Vec<Duration> = Vec::new();
    let mut usage = None;
    let mut finished = false;
    loop {
        let (data, at) = match stream.next_timeout(WAIT).context("while measuring")? {
            StreamPoll::Pending => continue,
            StreamPoll::Item(StreamItem::Warning(warning)) => {
                context.warn_from_server(&warning);
                continue;
            }
            StreamPoll::Item(StreamItem::Event(data, at)) => (data, at),
            StreamPoll::Closed if finished => break,
            StreamPoll::Closed => {
                let reason = "the connection closed before the end of the stream";
                return Err(RemoteError::Truncated(reason.to_owned()).into());
            }
        };
        let Some(chunk) = Chunk::parse(&data, url)? else {
            break;
        };
        usage = chunk.usage.or(usage);
        for choice in &chunk.choices {
            // An empty delta before the first text only announces the role; after it, it is a token without text.
            let is_token = !choice.content().is_empty()
                || (choice.finish_reason.is_none() && !times.is_empty());
            if is_token {
                times.push(at.duration_since(start));
            }
            finished |= choice.finish_reason.is_some();
        }
    }
    if times.is_empty() {
        bail!("the server sent a completion without text, which cannot be timed");
    }
    let counts = usage.and_then(|usage| usage.prompt_tokens.zip(usage.completion_tokens));
    let (prompt_tokens, generated_tokens) =
        counts.context("the server did not report token usage")?;
    Ok(Outcome {
        timing: Timing {
            tokens_per_delta: generated_tokens as f64 / times.len() as f64,
            times,
        },
        prompt_tokens,
        generated_tokens,
    })
}
