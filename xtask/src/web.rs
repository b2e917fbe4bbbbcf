//! The web page in `web/`: its npm packages and the scripts of its `package.json`.

use crate::{chromium, node, process, workspace};
use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Scripts that check the page, with what they check. The last one needs what `build` writes.
const CHECKS: [(&str, &str); 7] = [
    ("api:check", "types of the management API"),
    ("format:check", "format"),
    ("lint", "lints"),
    ("check", "types"),
    ("test:node", "unit tests"),
    ("build", "build"),
    ("size", "sizes"),
];

/// The directory of the page.
fn directory() -> PathBuf {
    workspace::root().join("web")
}

/// A script of the page's `package.json`, with the packages installed.
pub fn script(name: &str) -> Result<Command> {
    let directory = directory();
    node::install_in(&directory)?;
    let mut command = process::program("npm");
    command
        .args(["run", "--silent", name])
        .current_dir(directory);
    Ok(command)
}

/// A script that opens the page in Chromium, on gateways of the program `mlxm`, next to which the test hub is.
pub fn browser_script(name: &str, mlxm: &Path, starter_model: &Path) -> Result<Command> {
    let testhub = format!("mlxm-testhub{}", env::consts::EXE_SUFFIX);
    let mut script = script(name)?;
    script
        .env(chromium::VARIABLE, chromium::program()?)
        .env("MLXM_BIN", mlxm)
        .env("MLXM_TESTHUB_BIN", mlxm.with_file_name(testhub))
        .env("MLXM_STARTER_MODEL", starter_model);
    Ok(script)
}

/// Builds the page into `web/build/site`, from where the next build of mlxm embeds it.
pub fn build() -> Result<()> {
    process::run(&mut script("build")?)
}

/// As [`build`], for tasks with the option `--no-page`.
pub fn build_for_program() -> Result<()> {
    node::find().context("--no-page leaves out the web page")?;
    build()
}

/// Checks and builds the page. All checks run, even if one fails.
pub fn check() -> Result<()> {
    let mut failed = Vec::new();
    for (name, about) in CHECKS {
        if let Err(error) = process::run(&mut script(name)?) {
            failed.push(format!("{about}: {error:#}"));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n\n"));
    }
    Ok(())
}
