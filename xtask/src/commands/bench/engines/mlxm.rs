//! This project's own engine, by `mlxm bench` and `mlxm run`.

use super::{Engine, Facts, Reading};
use crate::commands::bench::measured::Measured;
use crate::commands::bench::models::Pair;
use crate::commands::bench::rows::{LOAD_CONTEXT, PROMPT, Row};
use crate::process;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

const NOTE: &str = "\
mlxm measures itself with `mlxm bench`, a whole run as warm-up. Its first token counts as part of the prompt, so one more is \
generated than is timed, and decoding starts after a prompt of one token. Sampling is part of its time.";

pub struct Mlxm {
    program: PathBuf,
    threads: usize,
    precision: Option<String>,
    facts: Facts,
}

impl Mlxm {
    /// Of the release build at `program`.
    pub fn new(program: PathBuf, threads: usize, precision: Option<String>) -> Result<Self> {
        let version = process::read(process::program(&program).arg("--version"))?;
        let git = |arguments: &[&str]| process::read(process::program("git").args(arguments)).ok();
        let changed = git(&[
            "status",
            "--porcelain",
            "--",
            "crates",
            "Cargo.toml",
            "Cargo.lock",
        ])
        .is_some_and(|changes| !changes.is_empty());
        let commit = git(&["rev-parse", "--short=12", "HEAD"]).map(|commit| {
            if changed {
                format!("{commit} with changes")
            } else {
                commit
            }
        });
        let facts = Facts {
            name: "mlxm".to_owned(),
            version: version.trim_start_matches("mlxm ").to_owned(),
            commit,
            build: "cargo build --release".to_owned(),
            weights: "affine, 4 bits, group 64, embedding too (MLX)".to_owned(),
            note: NOTE.to_owned(),
        };
        Ok(Self {
            program,
            threads,
            precision,
            facts,
        })
    }
}

impl Engine for Mlxm {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn model(&self, pair: &Pair) -> PathBuf {
        pair.mlx()
    }

    fn command(&self, pair: &Pair, row: Row) -> Command {
        let workload = row.workload();
        let mut command = process::program(&self.program);
        if row == Row::Load {
            command
                .arg("run")
                .arg(self.model(pair))
                .args([PROMPT, "--raw", "--temp", "0", "--max-tokens", "1"])
                .args(["--context", &LOAD_CONTEXT.to_string()]);
        } else {
            // An answer needs a prompt of one token at least.
            let prompt = workload.prompt_tokens.max(1);
            command
                .arg("bench")
                .arg(self.model(pair))
                .args(["--prompt-tokens", &prompt.to_string()])
                .args(["--gen-tokens", &row.generated_with_first().to_string()])
                .args(["--batch", &workload.sequences.to_string()])
                .args(["--repeat", "1", "--json"]);
        }
        command.args(["--threads", &self.threads.to_string()]);
        if let Some(precision) = &self.precision {
            command.args(["--precision", precision]);
        }
        command
    }

    fn read(&self, row: Row, measured: &Measured) -> Result<Reading> {
        match row {
            Row::Load => Ok(Reading::plain(measured.wall.as_secs_f64())),
            Row::Memory => Ok(Reading {
                value: measured.peak_rss_bytes as f64,
                ..parse(row, &measured.stdout)?
            }),
            _ => parse(row, &measured.stdout),
        }
    }
}

/// A row of `mlxm bench --json`.
#[derive(Deserialize)]
struct Line {
    prefill_tps: f64,
    decode_tps: f64,
    precision: Option<String>,
}

fn parse(row: Row, text: &str) -> Result<Reading> {
    let lines: Vec<Line> =
        serde_json::from_str(text).context("mlxm bench --json printed something else")?;
    let line = lines
        .into_iter()
        .next()
        .context("mlxm bench printed no row")?;
    Ok(Reading {
        value: if row == Row::Prefill {
            line.prefill_tps
        } else {
            line.decode_tps
        },
        precision: line.precision,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = r#"[
  {
    "batch": 1,
    "prompt_tokens": 1,
    "gen_tokens": 8,
    "prefill_tps": 42.91372705848244,
    "decode_tps": 41.69312914683213,
    "ttft_ms": 23.302567,
    "peak_rss_bytes": 134221824
  }
]"#;

    #[test]
    fn each_row_takes_its_own_speed() {
        let prefill = parse(Row::Prefill, RECORDED).unwrap();
        assert_eq!(prefill.value, 42.91372705848244);
        let batch = parse(Row::Batch4, RECORDED).unwrap();
        assert_eq!((batch.value, batch.precision), (41.69312914683213, None));
    }

    #[test]
    fn the_precision_is_kept_where_it_is_told() {
        let told = RECORDED.replace("\"batch\": 1,", "\"batch\": 1, \"precision\": \"int8\",");
        let reading = parse(Row::Decode, &told).unwrap();
        assert_eq!(reading.precision.as_deref(), Some("int8"));
    }

    #[test]
    fn other_output_is_an_error() {
        assert!(parse(Row::Decode, "[]").is_err());
        assert!(parse(Row::Decode, "error: no model").is_err());
    }
}
