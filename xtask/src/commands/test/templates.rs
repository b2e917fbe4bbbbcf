//! Real chat templates, from llama.cpp's collection in the source package of its Python binding, rendered by transformers
//! and by this project.

use super::environment::{TestEnvironment, test_environment};
use super::steps::{PACKAGES, has_nextest};
use crate::llama_cpp::{self, PACKAGE};
use crate::{cache, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes each template of the source archive into a directory.
const EXTRACT: &str = "\
import pathlib, sys, tarfile
archive, directory = sys.argv[1], pathlib.Path(sys.argv[2])
with tarfile.open(archive) as files:
    for member in files:
        if '/models/templates/' in member.name and member.name.endswith('.jinja'):
            (directory / pathlib.PurePosixPath(member.name).name).write_bytes(files.extractfile(member).read())
";

/// Compares the rendering of every template of the collection, and the syntaxes detected in it.
pub fn compare(environment: &TestEnvironment) -> Result<()> {
    let corpus = corpus()?;
    let reference = environment.target.join("templates/reference.json");
    if let Some(directory) = reference.parent() {
        fs::create_dir_all(directory)?;
    }
    process::run(
        test_environment()?
            .python()
            .arg("tests/python/template_reference.py")
            .arg("--templates")
            .arg(&corpus)
            .arg("--tokenizer")
            .arg(environment.starter_model())
            .arg("--output")
            .arg(&reference),
    )?;
    let mut cargo = environment.cargo();
    cargo
        .env("MLXM_TEMPLATE_CORPUS", &corpus)
        .env("MLXM_TEMPLATE_REFERENCE", &reference);
    // All packages are selected and some tests by filter, so that nothing is rebuilt with other features.
    if has_nextest() {
        cargo.args(["nextest", "run"]).args(PACKAGES);
        cargo.args([
            "--run-ignored",
            "only",
            // Their summaries; with --no-capture they would run one at a time.
            "--success-output",
            "final",
            "-E",
            "test(real_templates_)",
        ]);
    } else {
        cargo.arg("test").args(PACKAGES).arg("--all-targets");
        cargo.args(["--", "--ignored", "--nocapture", "real_templates_"]);
    }
    process::run(&mut cargo)
}

/// The directory with the templates, downloaded once.
fn corpus() -> Result<PathBuf> {
    cache::entry(
        &format!("templates/{}", PACKAGE.replace("==", "-")),
        |directory| {
            let environment = llama_cpp::environment()?;
            let downloads = tempfile::tempdir_in(directory)?;
            let archive = llama_cpp::download(&environment, downloads.path())?;
            process::run(
                environment
                    .python()
                    .args(["-c", EXTRACT])
                    .arg(&archive)
                    .arg(directory),
            )?;
            if count(directory)? == 0 {
                bail!("{PACKAGE} has no chat templates");
            }
            Ok(())
        },
    )
}

fn count(directory: &Path) -> Result<usize> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    Ok(entries
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "jinja")
        })
        .count())
}
