//! mlxm itself, measured with `mlxm bench` and `mlxm run`: the current release build or an earlier one.

use super::{Engine, EngineInfo, Reading};
use crate::commands::bench::child::ChildOutput;
use crate::commands::bench::models::ModelFiles;
use crate::commands::bench::rows::{LOAD_CONTEXT, PROMPT, Row};
use crate::process;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of an earlier build in the results.
pub const BASELINE: &str = "mlxm-baseline";

const NOTE: &str = "\
mlxm measures itself with `mlxm bench`, whose warm-up is a whole run. Its first token counts as part of the prompt, so one \
more token is generated than timed, and decoding starts after a prompt of one token. Sampling is part of its time.";

/// What quantized weights are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActivationDtype {
    F32,
    Int8,
}

/// A build of mlxm.
pub struct Mlxm {
    program: PathBuf,
    /// Makes the model files: the current build in any case, so that both builds load the same ones.
    converter: PathBuf,
    threads: usize,
    flags: Flags,
    activation_dtype: Option<ActivationDtype>,
    info: EngineInfo,
}

impl Mlxm {
    /// The release build of this clone.
    pub fn current(
        program: &Path,
        threads: usize,
        activation_dtype: Option<ActivationDtype>,
    ) -> Result<Self> {
        let changed = git(
            Path::new("."),
            &[
                "status",
                "--porcelain",
                "--",
                "crates",
                "Cargo.toml",
                "Cargo.lock",
            ],
        )
        .is_some_and(|changes| !changes.is_empty());
        let commit = commit(Path::new(".")).map(|commit| {
            if changed {
                format!("{commit} with changes")
            } else {
                commit
            }
        });
        Self::new("mlxm", program, program, threads, activation_dtype, commit)
    }

    /// An earlier build at `program`; `current` is the build it is compared with.
    pub fn baseline(
        program: &Path,
        current: &Path,
        threads: usize,
        activation_dtype: Option<ActivationDtype>,
    ) -> Result<Self> {
        let program = std::path::absolute(program)?;
        if !program.is_file() {
            bail!("no program at {}", program.display());
        }
        // A binary inside of a clone's target directory; elsewhere the commit is unknown.
        let commit = program.parent().and_then(commit);
        Self::new(
            BASELINE,
            &program,
            current,
            threads,
            activation_dtype,
            commit,
        )
    }

    fn new(
        name: &str,
        program: &Path,
        converter: &Path,
        threads: usize,
        activation_dtype: Option<ActivationDtype>,
        commit: Option<String>,
    ) -> Result<Self> {
        let version = process::read(process::program(program).arg("--version"))?;
        let help = process::read(process::program(program).args(["serve", "--help"]))?;
        Ok(Self {
            program: program.to_owned(),
            converter: converter.to_owned(),
            threads,
            flags: Flags::of(&help),
            activation_dtype,
            info: EngineInfo {
                name: name.to_owned(),
                version: version.trim_start_matches("mlxm ").to_owned(),
                commit,
                build: "cargo build --release".to_owned(),
                weights: "affine, 4 bits, group 64, embedding too (MLX)".to_owned(),
                note: NOTE.to_owned(),
            },
        })
    }

    /// `mlxm serve` for `sequences` sequences of up to `context` tokens each.
    pub fn serve_command(&self, files: &ModelFiles, sequences: usize, context: usize) -> Command {
        let mut command = process::program(&self.program);
        command
            .arg("serve")
            .arg("--model")
            .arg(self.model(files))
            .args(["--max-sequences", &sequences.to_string()])
            .args([self.flags.context_length, &context.to_string()])
            .args(["--alias", "default", "--log-level", "warn"])
            // A key in the user's environment would lock the benchmark's clients out.
            .env_remove("MLXM_API_KEY");
        self.add_common_options(&mut command);
        command
    }

    fn add_common_options(&self, command: &mut Command) {
        command.args(["--threads", &self.threads.to_string()]);
        if let Some(dtype) = self.activation_dtype {
            command.args([
                self.flags.activation_dtype,
                match dtype {
                    ActivationDtype::F32 => self.flags.f32_activations,
                    ActivationDtype::Int8 => "int8",
                },
            ]);
        }
    }
}

impl Engine for Mlxm {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn model(&self, files: &ModelFiles) -> PathBuf {
        files.mlx()
    }

    fn prepare(&self, files: &ModelFiles) -> Result<()> {
        files.prepare_mlx(&self.converter)
    }

    fn command(&self, files: &ModelFiles, row: Row) -> Command {
        let workload = row.workload();
        let mut command = process::program(&self.program);
        if row == Row::Load {
            command
                .arg("run")
                .arg(self.model(files))
                .args([PROMPT, "--raw", "--temp", "0", "--max-tokens", "1"])
                .args([self.flags.context_length, &LOAD_CONTEXT.to_string()]);
        } else {
            // Generation needs a prompt of at least one token.
            let prompt = workload.prompt_tokens.max(1);
            command
                .arg("bench")
                .arg(self.model(files))
                .args(["--prompt-tokens", &prompt.to_string()])
                .args(["--gen-tokens", &row.generated_with_first().to_string()])
                .args(["--batch", &workload.sequences.to_string()])
                .args(["--repeat", "1", "--json"]);
        }
        self.add_common_options(&mut command);
        command
    }

    fn read(&self, row: Row, output: &ChildOutput) -> Result<Reading> {
        match row {
            Row::Load => Ok(Reading::new(output.wall.as_secs_f64())),
            Row::Memory => Ok(Reading {
                value: output.peak_rss_bytes as f64,
                ..parse(row, &output.stdout)?
            }),
            _ => parse(row, &output.stdout),
        }
    }
}

/// Names of options that changed between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    context_length: &'static str,
    activation_dtype: &'static str,
    f32_activations: &'static str,
}

impl Flags {
    /// The names in the text of `mlxm serve --help`.
    fn of(help: &str) -> Self {
        let pick = |new, old| if help.contains(new) { new } else { old };
        let activation_dtype = pick("--activation-dtype", "--precision");
        Self {
            context_length: pick("--context-length", "--context"),
            activation_dtype,
            f32_activations: if activation_dtype == "--precision" {
                "exact"
            } else {
                "f32"
            },
        }
    }
}

/// The commit that is checked out in `directory`.
fn commit(directory: &Path) -> Option<String> {
    git(directory, &["rev-parse", "--short=12", "HEAD"])
}

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    process::read(
        process::program("git")
            .arg("-C")
            .arg(directory)
            .args(arguments),
    )
    .ok()
}

/// A row of `mlxm bench --json`.
#[derive(Deserialize)]
struct BenchRow {
    prefill_tps: f64,
    decode_tps: f64,
    /// Called `precision` by earlier versions.
    #[serde(alias = "precision")]
    activation_dtype: Option<String>,
}

fn parse(row: Row, text: &str) -> Result<Reading> {
    let rows: Vec<BenchRow> =
        serde_json::from_str(text).context("unexpected output of mlxm bench --json")?;
    let bench_row = rows
        .into_iter()
        .next()
        .context("mlxm bench printed no row")?;
    Ok(Reading {
        value: if row == Row::Prefill {
            bench_row.prefill_tps
        } else {
            bench_row.decode_tps
        },
        activation_dtype: bench_row.activation_dtype,
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
    fn parse_takes_the_speed_of_the_row() {
        let prefill = parse(Row::Prefill, RECORDED).unwrap();
        assert_eq!(prefill.value, 42.91372705848244);
        let batch = parse(Row::Batch4, RECORDED).unwrap();
        assert_eq!(
            (batch.value, batch.activation_dtype),
            (41.69312914683213, None)
        );
    }

    #[test]
    fn parse_keeps_the_activation_dtype_under_both_names() {
        for name in ["precision", "activation_dtype"] {
            let row = RECORDED.replace(
                "\"batch\": 1,",
                &format!("\"batch\": 1, \"{name}\": \"int8\","),
            );
            let reading = parse(Row::Decode, &row).unwrap();
            assert_eq!(reading.activation_dtype.as_deref(), Some("int8"));
        }
    }

    #[test]
    fn parse_rejects_other_output() {
        assert!(parse(Row::Decode, "[]").is_err());
        assert!(parse(Row::Decode, "error: no model").is_err());
    }

    #[test]
    fn flags_follow_the_help_of_the_build() {
        let old = Flags::of("  --context <N>  Tokens\n  --precision <PRECISION>\n");
        assert_eq!(
            (
                old.context_length,
                old.activation_dtype,
                old.f32_activations
            ),
            ("--context", "--precision", "exact")
        );
        let new = Flags::of("  --context-length <N>\n  --activation-dtype <DTYPE>\n");
        assert_eq!(
            (
                new.context_length,
                new.activation_dtype,
                new.f32_activations
            ),
            ("--context-length", "--activation-dtype", "f32")
        );
    }
}
