//! `cargo xtask demo`: from a fresh clone to a first response.

use crate::prerequisites::Prerequisite;
use crate::progress::Progress;
use crate::python::OLDEST;
use crate::{prerequisites, process, starter, workspace};
use anyhow::{Context, Result};
use clap::Args;
use std::env;
use std::path::{Path, PathBuf};

/// The name of the model among the local models, chosen so that it does not collide with a user's model.
const MODEL: &str = "SmolLM2-135M-Instruct-starter";

/// Get the starter model, build mlxm and run a prompt.
#[derive(Args)]
pub struct Arguments {
    /// The prompt
    #[arg(default_value = starter::QUESTION)]
    question: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let mut progress = Progress::new(4);
    let target = workspace::target_directory()?;
    let mlxm = target
        .join("release")
        .join(format!("mlxm{}", env::consts::EXE_SUFFIX));
    let model = local_models()?.join(MODEL);

    prerequisites::require(&[Prerequisite::CCompilers, Prerequisite::Python(OLDEST)])?;
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
    progress.step("Run the prompt", || {
        eprintln!("\n> {}\n", arguments.question);
        process::run(
            process::program(&mlxm)
                .arg("run")
                .arg(&model)
                .arg(&arguments.question)
                .args(["--temp", "0"]),
        )
    })?;

    let mlxm = shorten(&mlxm);
    println!("\nThat was a language model on this machine's CPU. Try next:\n");
    for (command, what) in [
        (
            format!("{mlxm} run {MODEL}"),
            "a chat; /help lists its commands",
        ),
        (
            format!("{mlxm} show {MODEL}"),
            "architecture, memory and context length of the model",
        ),
        (format!("{mlxm} --help"), "all commands"),
        ("cargo xtask test".to_owned(), "every check and test"),
    ] {
        println!("  {command:<60}  {what}");
    }
    Ok(())
}

/// The directory of local models, as `mlxm` finds it.
fn local_models() -> Result<PathBuf> {
    let home = match env::var_os("MLXM_HOME").filter(|path| !path.is_empty()) {
        Some(path) => std::path::absolute(path)?,
        None => env::home_dir()
            .context("no home directory; set MLXM_HOME to a directory for models")?
            .join(".mlxm"),
    };
    Ok(home.join("models"))
}

/// The path relative to the current directory, if it is inside of it.
fn shorten(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .map_or_else(|_| path.to_owned(), PathBuf::from)
        .display()
        .to_string()
}
