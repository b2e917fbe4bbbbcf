//! `mlxm bench`: throughput and latency at different batch sizes.

mod local;
mod random;
mod server;
mod speeds;

use std::time::Duration;

use clap::Args;
use indicatif::DecimalBytes;
use serde::Serialize;

use self::server::ServerBench;
use self::speeds::{Speeds, median};
use crate::context::Context;
use crate::failure::Failure;
use crate::locate;
use crate::output::{Report, Section};
use crate::remote::{RemoteArguments, ServedModels};
use crate::units;

const HELP: &str = "\
For each batch size, the model is loaded, warmed up with one run and measured --repeat times; the medians are shown. \
BATCH concurrent requests with random prompts of --prompt-tokens tokens each generate --gen-tokens tokens; \
end-of-sequence tokens are ignored.

  prefill_tps     prompt tokens of all requests / time until the last request has its first token
  decode_tps      generated tokens per second over all requests, while all of them are decoding
  ttft_ms         mean time to first token
  peak_rss_bytes  peak resident memory of this process

With --url, BATCH concurrent requests are sent to a running server. Prompts have about --prompt-tokens tokens; the \
reported token counts are the server's, and times are measured on the client.

Examples:
  mlxm bench SmolLM2
  mlxm bench SmolLM2 --prompt-tokens 512 --gen-tokens 64 --batch 1,8,16 --threads 2 --json
  mlxm bench --url http://127.0.0.1:8080 --batch 1,8,16";

/// Benchmark prefill and decode speed
#[derive(Debug, Args)]
#[command(
    after_help = HELP,
    override_usage = "mlxm bench [OPTIONS] <MODEL>\n       mlxm bench [OPTIONS] --url <URL> [MODEL]"
)]
pub struct Bench {
    /// Model directory, repository ID (owner/name), or unique part of a local model name; with --url, a model name on the server
    #[arg(required_unless_present = "url")]
    model: Option<String>,

    /// Number of prompt tokens per request
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    prompt_tokens: u32,

    /// Number of generated tokens per request
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    gen_tokens: u32,

    /// Batch sizes (concurrent requests), comma-separated
    #[arg(long, value_name = "N,…", default_value = "1", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Vec<u16>,

    /// Number of measured runs per batch size
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,

    #[command(flatten)]
    remote: RemoteArguments,
}

/// The results; a JSON array.
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
    /// Only for local models.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_rss_bytes: Option<u64>,
}

impl Row {
    fn from_runs(batch: usize, prompt_tokens: usize, gen_tokens: usize, runs: &[Speeds]) -> Self {
        let median = |of: fn(&Speeds) -> f64| median(runs.iter().map(of).collect());
        Self {
            batch,
            prompt_tokens,
            gen_tokens,
            prefill_tps: median(|speeds| speeds.prefill_tps),
            decode_tps: median(|speeds| speeds.decode_tps),
            ttft_ms: median(|speeds| speeds.ttft_ms),
            peak_rss_bytes: None,
        }
    }
}

impl Report for Rows {
    fn sections(&self) -> Vec<Section> {
        let mut table = Section::table(&[
            "batch",
            "prompt",
            "generated",
            "prefill tok/s",
            "decode tok/s",
            "TTFT",
            "peak memory",
        ])
        .right_aligned(&[0, 1, 2, 3, 4, 5, 6]);
        for row in &self.0 {
            table.row([
                row.batch.to_string(),
                row.prompt_tokens.to_string(),
                row.gen_tokens.to_string(),
                format!("{:.1}", row.prefill_tps),
                format!("{:.1}", row.decode_tps),
                units::duration(Duration::from_secs_f64(row.ttft_ms / 1e3)),
                row.peak_rss_bytes
                    .map_or_else(|| "–".to_owned(), |bytes| DecimalBytes(bytes).to_string()),
            ]);
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        let line =
            |row: &Row| format!("{} {:.1} {:.1}", row.batch, row.prefill_tps, row.decode_tps);
        self.0.iter().map(line).collect()
    }
}

impl Bench {
    /// Measures each batch size and prints the results.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let rows = match (self.remote.client()?, &self.model) {
            (Some(client), model) => {
                context.reject_local_options(&[])?;
                let served = ServedModels::fetch(&client)?;
                let model = match model {
                    Some(name) => served.resolve(name),
                    None => served.only()?,
                };
                let server = ServerBench::new(context, &client, model)?;
                self.rows(|batch| {
                    context
                        .output
                        .note(&format!("batch {batch}: sending requests"));
                    server.measure(&self, context, batch)
                })?
            }
            (None, Some(name)) => {
                let model = locate::local(name)?;
                self.rows(|batch| {
                    let note = format!("batch {batch}: loading and warming up");
                    context.output.note(&note);
                    local::measure(&self, context, &model, batch)
                })?
            }
            (None, None) => return Err(Failure::Usage("no model".to_owned()).into()),
        };
        context.output.report(&rows)?;
        Ok(())
    }

    fn rows(&self, measure: impl Fn(usize) -> anyhow::Result<Row>) -> anyhow::Result<Rows> {
        let batches = self.batch.iter().map(|batch| usize::from(*batch));
        batches
            .map(measure)
            .collect::<anyhow::Result<_>>()
            .map(Rows)
    }
}
