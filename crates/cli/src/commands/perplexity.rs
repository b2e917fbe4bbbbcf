//! `mlxm perplexity`: perplexity of a model on a text.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::output::{Report, Section};

const HELP: &str = "\
The text is split into windows of --context-length tokens that start --stride tokens apart. Each token except the \
first is scored once, in the first window that contains it. A smaller stride gives each token more context and takes \
longer; a stride equal to the context length is fastest. Perplexity is exp of the mean negative log-likelihood, ± its \
standard error. Compare models only with the same text, tokenizer, context length and stride.

Examples:
  mlxm perplexity SmolLM2 wiki.test.txt
  mlxm perplexity SmolLM2 - --context-length 1024 --stride 1024 --json < book.txt";

/// Calculate the perplexity of a model on a text
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Perplexity {
    /// Model directory, repository ID (owner/name), or unique part of a local model name
    #[arg(add = complete::models())]
    model: String,

    /// Text file, or - for standard input
    file: String,

    /// Context length in tokens
    #[arg(long, value_name = "N", alias = "context", default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    context_length: u32,

    /// Stride between windows in tokens [default: half of the context length]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    stride: Option<u32>,

    /// Maximum number of tokens of the text to use
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_tokens: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Score {
    perplexity: f64,
    standard_error: f64,
    mean_negative_log_likelihood: f64,
    scored_tokens: usize,
    tokens: usize,
    context: usize,
    stride: usize,
}

impl Report for Score {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(format!(
            "perplexity {:.4} ± {:.4}  ({} of {} tokens scored, context {}, stride {})",
            self.perplexity,
            self.standard_error,
            self.scored_tokens,
            self.tokens,
            self.context,
            self.stride
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![format!("{:.4}", self.perplexity)]
    }
}

impl Perplexity {
    /// Scores the text and prints the result.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let window = self.context_length as usize;
        let stride = self
            .stride
            .map_or(window / 2, |stride| stride as usize)
            .max(1);
        if stride > window {
            let message = format!(
                "--stride {stride} is larger than --context-length {window}: tokens between windows would be skipped"
            );
            return Err(Failure::Usage(message).into());
        }
        let text = read_text(&self.file)?;
        let model = locate::local(&self.model)?;
        let mut options = context.load_options();
        options.context_length = Some(window);
        let engine = context.load(&model, &options)?;
        let mut tokens = engine.tokenizer().encode(&text, true)?;
        if let Some(limit) = self.max_tokens {
            tokens.truncate(limit as usize);
        }
        if tokens.len() < 2 {
            let message = format!(
                "the text has {} tokens; at least 2 are needed to predict one",
                tokens.len()
            );
            return Err(Failure::Usage(message).into());
        }

        let guard = InterruptGuard::start();
        let windows = windows(tokens.len(), window, stride);
        let progress = context.progress("scoring", windows.len() as u64);
        let mut log_likelihood = Moments::default();
        for span in &windows {
            if guard.requested() {
                return Err(Failure::Interrupted(format!(
                    "interrupted: {} tokens scored so far, perplexity {:.4}",
                    log_likelihood.count,
                    (-log_likelihood.mean).exp()
                ))
                .into());
            }
            let logprobs = engine.token_logprobs(&tokens[span.start..span.end])?;
            // logprobs[i] belongs to token start + i + 1.
            for logprob in &logprobs[span.first_scored - span.start - 1..] {
                log_likelihood.add(f64::from(*logprob));
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        let perplexity = (-log_likelihood.mean).exp();
        context.output.report(&Score {
            perplexity,
            standard_error: perplexity * log_likelihood.standard_error(),
            mean_negative_log_likelihood: -log_likelihood.mean,
            scored_tokens: log_likelihood.count,
            tokens: tokens.len(),
            context: window,
            stride,
        })?;
        Ok(())
    }
}

fn read_text(file: &str) -> anyhow::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(Path::new(file)).with_context(|| format!("cannot read {file}"))
}

/// Tokens `start..end`, of which those from `first_scored` on are scored.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    start: usize,
    end: usize,
    first_scored: usize,
}

fn windows(tokens: usize, window: usize, stride: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut first_scored = 1;
    let mut start = 0;
    while first_scored < tokens {
        // Without overlap, a window needs one token before the first one it scores.
        let begin = start.min(first_scored - 1);
        let end = (begin + window).min(tokens);
        windows.push(Window {
            start: begin,
            end,
            first_scored,
        });
        first_scored = end;
        start += stride;
    }
    windows
}

/// Running mean and variance (Welford, 1962).
#[derive(Debug, Default)]
struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (value - self.mean);
    }

    fn standard_error(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        (self.squares / (self.count - 1) as f64 / self.count as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_score_each_token_but_the_first_once() {
        for tokens in 2..40 {
            for window in 2..12 {
                for stride in 1..=window {
                    let spans = windows(tokens, window, stride);
                    let mut next = 1;
                    for span in &spans {
                        assert_eq!(span.first_scored, next, "{tokens} {window} {stride}");
                        assert!(span.start < span.first_scored && span.first_scored < span.end);
                        assert!(span.end - span.start <= window);
                        next = span.end;
                    }
                    assert_eq!(next, tokens);
                }
            }
        }
    }

    #[test]
    fn windows_overlap_with_a_smaller_stride() {
        let spans = windows(12, 8, 2);
        assert_eq!(
            spans[1],
            Window {
                start: 2,
                end: 10,
                first_scored: 8
            }
        );
        assert_eq!(
            spans[2],
            Window {
                start: 4,
                end: 12,
                first_scored: 10
            }
        );
    }

    #[test]
    fn moments_compute_mean_and_standard_error() {
        let mut moments = Moments::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add(value);
        }
        assert!((moments.mean - 5.0).abs() < 1e-12);
        assert!((moments.standard_error() - (32.0_f64 / 7.0 / 8.0).sqrt()).abs() < 1e-12);
    }
}
