//! OpenVINO GenAI, measured by a script that drives its pipelines.

use super::{Engine, EngineInfo, Reading};
use crate::commands::bench::child::ChildOutput;
use crate::commands::bench::models::{self, Format, ModelFiles};
use crate::commands::bench::rows::{PROMPT, Row};
use crate::{process, python};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

/// The engine and the tools that export models for it.
const REQUIREMENTS: &str = "\
nncf==3.4.0
openvino-genai==2026.4.1.0
optimum-intel[openvino]==2.2.0
torch==2.15.0
transformers==5.5.4
";

const NOTE: &str = "\
openvino is driven by xtask/scripts/openvino_bench.py: LLMPipeline for one sequence, ContinuousBatchingPipeline for several, \
with a whole run as warm-up. Speeds of one sequence are its own metrics (prompt tokens over the time to first token, and the \
mean time per output token); those of several are computed by the script the way mlxm computes them. Its KV cache has its \
default type, 8 bits. In the row load, the start of Python is part of its time.";

pub struct OpenVino {
    environment: python::Environment,
    mlxm: PathBuf,
    threads: usize,
    info: EngineInfo,
}

impl OpenVino {
    /// Installs it into the cache. `mlxm` writes the dense checkpoints it exports from.
    pub fn new(mlxm: PathBuf, threads: usize) -> Result<Self> {
        let environment = python::Environment::prepare("openvino", models::PYTHON, REQUIREMENTS)?;
        let script = "import openvino_genai; print(openvino_genai.__version__)";
        let version = process::read(environment.python().args(["-c", script]))?;
        let info = EngineInfo {
            name: "openvino".to_owned(),
            version,
            commit: None,
            build: "wheel of openvino-genai".to_owned(),
            weights:
                "int4 asymmetric, group 64, ratio 1.0; embedding and output int8 (optimum-intel)"
                    .to_owned(),
            note: NOTE.to_owned(),
        };
        Ok(Self {
            environment,
            mlxm,
            threads,
            info,
        })
    }
}

impl Engine for OpenVino {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn model(&self, files: &ModelFiles) -> PathBuf {
        files.openvino()
    }

    fn prepare(&self, files: &ModelFiles) -> Result<()> {
        files.prepare(Format::OpenVino, |source, directory| {
            let scratch = tempfile::tempdir_in(directory)?;
            let dense = scratch.path().join("dense");
            process::run(
                process::program(&self.mlxm)
                    .arg("convert")
                    .arg(source)
                    .arg(&dense)
                    .args(["--dequantize", "--dtype", "float16"]),
            )?;
            process::run(
                self.environment
                    .program("optimum-cli")
                    .args(["export", "openvino", "--task", "text-generation-with-past"])
                    .args(["--weight-format", "int4", "--group-size", "64"])
                    .args(["--ratio", "1.0", "--model"])
                    .arg(&dense)
                    .arg(directory)
                    .env("HF_HUB_OFFLINE", "1"),
            )
        })
    }

    fn command(&self, files: &ModelFiles, row: Row) -> Command {
        let workload = row.workload();
        let text = |number: usize| number.to_string();
        let mut command = self.environment.python();
        command
            .arg("xtask/scripts/openvino_bench.py")
            .arg(self.model(files))
            .args(["--threads", &text(self.threads)]);
        if row == Row::Load {
            command.args(["--load", PROMPT]);
        } else {
            command
                .args(["--sequences", &text(workload.sequences)])
                .args(["--prompt-tokens", &text(workload.prompt_tokens.max(1))])
                .args(["--generated-tokens", &text(row.generated_with_first())]);
        }
        command
    }

    fn read(&self, row: Row, measured: &ChildOutput) -> Result<Reading> {
        Ok(Reading::new(match row {
            Row::Load => measured.wall.as_secs_f64(),
            Row::Memory => measured.peak_rss_bytes as f64,
            _ => parse(row, &measured.stdout)?,
        }))
    }
}

/// Reads the speed from the one JSON line among the output of the script and its libraries.
fn parse(row: Row, text: &str) -> Result<f64> {
    #[derive(Deserialize)]
    struct Line {
        prefill_tps: Option<f64>,
        decode_tps: Option<f64>,
    }
    let line = text
        .lines()
        .find_map(|line| serde_json::from_str::<Line>(line).ok())
        .context("openvino_bench.py printed no JSON line")?;
    if row == Row::Prefill {
        line.prefill_tps
    } else {
        line.decode_tps
    }
    .with_context(|| format!("openvino_bench.py did not measure {row}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_the_speed_of_the_row() {
        let recorded = "[INFO] loaded\n{\"prefill_tps\": 38.036099645689575, \"decode_tps\": 44.11300457244324}\n";
        assert_eq!(parse(Row::Prefill, recorded).unwrap(), 38.036099645689575);
        assert_eq!(parse(Row::Decode, recorded).unwrap(), 44.11300457244324);
    }

    #[test]
    fn parse_rejects_missing_speeds() {
        assert!(parse(Row::Decode, "{\"prefill_tps\": 842.9949314432911}\n").is_err());
        assert!(parse(Row::Decode, "Traceback (most recent call last):\n").is_err());
    }
}
