//! `cargo xtask demo`: from a fresh clone to an answer.

use crate::progress::Progress;
use crate::{prerequisites, process, starter, workspace};
use anyhow::Result;
use clap::Args;
use std::env;
use std::path::{Path, PathBuf};

/// Get the starter model, build mlxm and ask it a question.
#[derive(Args)]
pub struct Arguments {
    /// Ask this instead
    #[arg(default_value = starter::QUESTION)]
    question: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let mut progress = Progress::new(4);
    let target = workspace::target_directory()?;
    let mlxm = target
        .join("release")
        .join(format!("mlxm{}", env::consts::EXE_SUFFIX));
    let model = target.join("demo/SmolLM2-135M-Instruct");

    prerequisites::c_compilers()?;
    progress.step(
        "Get the starter model, SmolLM2-135M-Instruct (93 MB)",
        starter::gguf,
    )?;
    progress.step("Build mlxm (some minutes the first time)", || {
        process::run(process::cargo().args(["build", "--release", "--locked", "--package", "mlxm"]))
    })?;
    progress.step("Convert the model to MLX format", || {
        starter::convert(&mlxm, &model)
    })?;
    progress.step("Ask it", || {
        eprintln!("\n> {}\n", arguments.question);
        process::run(
            process::program(&mlxm)
                .arg("run")
                .arg(&model)
                .arg(&arguments.question)
                .args(["--temp", "0"]),
        )
    })?;

    let (mlxm, model) = (shorten(&mlxm), shorten(&model));
    println!(
        "\nThat was a language model on this machine's processor. Try next:\n\n\
         \x20 {mlxm} run {model}                a conversation; /help lists what it understands\n\
         \x20 {mlxm} show {model}               what the model is and what it needs\n\
         \x20 {mlxm} --help                     everything else\n\
         \x20 cargo xtask test                  every check and test"
    );
    Ok(())
}

/// The path as seen from the directory the person is in, where that is shorter.
fn shorten(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .map_or_else(|_| path.to_owned(), PathBuf::from)
        .display()
        .to_string()
}
