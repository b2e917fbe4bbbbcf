//! `cargo xtask python`: builds the Python package as a wheel.

use crate::prerequisites::Prerequisite;
use crate::python::OLDEST;
use crate::{prerequisites, process, python, workspace};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// The tool that builds the wheel.
const MATURIN: &str = "maturin==1.16.0\n";

/// Build a wheel of the Python package in target/wheels.
#[derive(Args)]
pub struct Arguments {}

pub fn execute(_: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers, Prerequisite::Python(OLDEST)])?;
    let environment = python::Environment::prepare("maturin", OLDEST, MATURIN)?;
    let wheel = build_wheel(&environment)?;
    println!("{}\n\nInstall it with: pip install {0}", wheel.display());
    Ok(())
}

/// Builds the wheel with the maturin in `environment` and returns its path.
fn build_wheel(environment: &python::Environment) -> Result<PathBuf> {
    let directory = workspace::target_directory()?.join("wheels");
    fs::create_dir_all(&directory)?;
    let built = tempfile::tempdir_in(&directory)?;
    process::run(
        environment
            .program("maturin")
            .args([
                "build",
                "--release",
                "--locked",
                "--manifest-path",
                "bindings/python/Cargo.toml",
                "--out",
            ])
            .arg(built.path()),
    )?;
    let wheel = fs::read_dir(built.path())?
        .next()
        .context("maturin built no wheel")??;
    let place = directory.join(wheel.file_name());
    fs::rename(wheel.path(), &place)?;
    Ok(place)
}
