//! llama.cpp, measured with its own benchmark programs.

use super::{Engine, EngineInfo, Reading};
use crate::commands::bench::child::{self, ChildOutput};
use crate::commands::bench::models::ModelFiles;
use crate::commands::bench::rows::{LOAD_CONTEXT, PROMPT, Row};
use crate::process;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

const NOTE: &str = "\
llama.cpp is measured by its own llama-bench (one sequence) and llama-batched-bench (several), neither of which samples. \
llama-bench warms up with a whole prompt, or with one generated token; llama-batched-bench with 16 tokens. The row load is \
llama-completion with --no-warmup, since its warm-up would add a forward pass before the first token. The row memory reads \
the file instead of mapping it (-lm none): a mapped file stays resident in addition to the repacked weights, as the table of \
peak memory shows for the other rows.";

/// Which of a model's two GGUF files it loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// As llama-quantize makes it by default: a tied embedding, which is also the output matrix, keeps more bits.
    Mixed,
    /// Every matrix at Q4_0, so that the file has as many bits per weight as the MLX one.
    Pure,
}

pub struct LlamaCpp {
    programs: PathBuf,
    threads: usize,
    file: File,
    info: EngineInfo,
}

impl LlamaCpp {
    /// Uses the programs in the directory `programs`.
    pub fn new(programs: PathBuf, threads: usize, file: File) -> Result<Self> {
        let version_output =
            child::run(process::program(programs.join("llama-completion")).arg("--version"))?;
        let (version, commit, compiler) = parse_version(&format!(
            "{}\n{}",
            version_output.stdout, version_output.stderr
        ));
        let info = EngineInfo {
            name: match file {
                File::Mixed => "llama.cpp",
                File::Pure => "llama.cpp-pure",
            }
            .to_owned(),
            version,
            commit,
            build: format!("cmake Release, GGML_NATIVE, {compiler}"),
            weights: match file {
                File::Mixed => "Q4_0, tied embedding Q6_K (1.56B) or Q8_0 (135M), as llama-quantize makes it (GGUF)",
                File::Pure => "Q4_0, embedding too (GGUF)",
            }
            .to_owned(),
            note: NOTE.to_owned(),
        };
        Ok(Self {
            programs,
            threads,
            file,
            info,
        })
    }
}

impl Engine for LlamaCpp {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn model(&self, files: &ModelFiles) -> PathBuf {
        match self.file {
            File::Mixed => files.gguf(),
            File::Pure => files.pure_gguf(),
        }
    }

    fn prepare(&self, files: &ModelFiles) -> Result<()> {
        files.prepare_gguf(&self.programs)
    }

    fn command(&self, files: &ModelFiles, row: Row) -> Command {
        let workload = row.workload();
        let text = |number: usize| number.to_string();
        let mut command = process::program(self.programs.join(match row {
            Row::Decode | Row::Prefill | Row::Memory => "llama-bench",
            Row::Batch4 | Row::Batch16 => "llama-batched-bench",
            Row::Load => "llama-completion",
        }));
        command.arg("-m").arg(self.model(files));
        match row {
            Row::Decode | Row::Prefill => command
                .args(["-p", &text(workload.prompt_tokens)])
                .args(["-n", &text(workload.generated_tokens)])
                .args(["-r", "1", "-o", "json"]),
            Row::Memory => {
                let (prompt, generated) = (workload.prompt_tokens, workload.generated_tokens);
                command
                    .args([
                        "-p",
                        "0",
                        "-n",
                        "0",
                        "-pg",
                        &format!("{prompt},{generated}"),
                    ])
                    .args(["-lm", "none", "-r", "1", "-o", "json"])
            }
            Row::Batch4 | Row::Batch16 => {
                let length = workload.prompt_tokens + workload.generated_tokens;
                command
                    .args(["-c", &text(workload.sequences * length)])
                    .args(["-npp", &text(workload.prompt_tokens)])
                    .args(["-ntg", &text(workload.generated_tokens)])
                    .args(["-npl", &text(workload.sequences)])
                    .args(["--output-format", "jsonl"])
            }
            Row::Load => command
                .args(["-p", PROMPT, "-n", "1", "--temp", "0", "-no-cnv"])
                // Its warm-up would add a forward pass before the first token.
                .args(["--no-warmup", "-c", &text(LOAD_CONTEXT)]),
        };
        command.args(["-t", &text(self.threads)]);
        command
    }

    fn read(&self, row: Row, measured: &ChildOutput) -> Result<Reading> {
        Ok(Reading::new(match row {
            Row::Decode | Row::Prefill => parse_bench(&measured.stdout)?,
            Row::Batch4 | Row::Batch16 => parse_batched_bench(&measured.stdout)?,
            Row::Load => measured.wall.as_secs_f64(),
            Row::Memory => {
                parse_bench(&measured.stdout)?;
                measured.peak_rss_bytes as f64
            }
        }))
    }
}

/// Tokens per second of llama-bench's only run.
fn parse_bench(text: &str) -> Result<f64> {
    #[derive(Deserialize)]
    struct Test {
        samples_ns: Vec<u64>,
        n_prompt: u64,
        n_gen: u64,
    }
    let tests: Vec<Test> =
        serde_json::from_str(text).context("unexpected output of llama-bench -o json")?;
    let test = tests.first().context("llama-bench printed no test")?;
    let nanoseconds = test
        .samples_ns
        .first()
        .context("llama-bench printed no sample")?;
    Ok((test.n_prompt + test.n_gen) as f64 / (*nanoseconds as f64 / 1e9))
}

/// Generated tokens per second of all sequences of llama-batched-bench together.
fn parse_batched_bench(text: &str) -> Result<f64> {
    #[derive(Deserialize)]
    struct Line {
        speed_tg: f64,
    }
    text.lines()
        .find_map(|line| serde_json::from_str::<Line>(line.trim()).ok())
        .map(|line| line.speed_tg)
        .context("llama-batched-bench --output-format jsonl printed no JSON line")
}

/// Version, commit and compiler from the output of `--version`.
fn parse_version(text: &str) -> (String, Option<String>, String) {
    let after = |prefix: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(prefix))
            .map(|rest| rest.trim().to_owned())
    };
    let version = after("version:").unwrap_or_else(|| "unknown".to_owned());
    let commit = version
        .split_once("commit ")
        .map(|(_, rest)| rest.trim_end_matches(')').to_owned());
    let name = version
        .split_once(" (")
        .map_or(version.clone(), |(name, _)| name.to_owned());
    let compiler = after("built with").unwrap_or_else(|| "unknown compiler".to_owned());
    (name, commit, compiler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_bench_divides_tokens_by_the_sample_time() {
        let recorded = r#"[
  {
    "build_commit": "0c1e570",
    "build_number": 1,
    "cpu_info": "AMD EPYC",
    "model_type": "llama 256M Q4_0",
    "n_threads": 2,
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "test_time": "2026-11-20T09:47:49Z",
    "avg_ns": 3590791420,
    "stddev_ns": 0,
    "avg_ts": 142.586951,
    "stddev_ts": 0.000000,
    "samples_ns": [ 3590791420 ],
    "samples_ts": [ 142.587 ]
  }
]"#;
        assert!((parse_bench(recorded).unwrap() - 142.586951).abs() < 1e-6);
        assert!(parse_bench("[]").is_err());
    }

    #[test]
    fn parse_batched_bench_takes_the_generation_speed() {
        let recorded = "\n{\"n_kv_max\": 4096, \"n_batch\": 2048, \"n_ubatch\": 512, \"flash_attn\": -1, \
            \"is_pp_shared\": 0, \"n_gpu_layers\": -1, \"n_threads\": 2, \"n_threads_batch\": 2, \"pp\": 128, \
            \"tg\": 64, \"pl\": 16, \"n_kv\": 3072, \"t_pp\": 1.093903, \"speed_pp\": 1872.195312, \
            \"t_tg\": 1.272202, \"speed_tg\": 804.903625, \"t\": 2.366105, \"speed\": 1298.336304}\n\n";
        assert_eq!(parse_batched_bench(recorded).unwrap(), 804.903625);
        assert!(parse_batched_bench("error: no model\n").is_err());
    }

    #[test]
    fn parse_version_separates_version_commit_and_compiler() {
        let text = "version: 0.5.0-dev (build 1, commit 0c1e570)\nbuilt with GNU 12.2.0 for Linux x86_64\n";
        assert_eq!(
            parse_version(text),
            (
                "0.5.0-dev".to_owned(),
                Some("0c1e570".to_owned()),
                "GNU 12.2.0 for Linux x86_64".to_owned()
            )
        );
        assert_eq!(parse_version("nothing").0, "unknown");
    }
}
