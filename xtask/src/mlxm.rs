//! The program.

use crate::{process, workspace};
use anyhow::Result;
use std::env;
use std::path::PathBuf;

/// Builds the program for release and returns its path.
pub fn build() -> Result<PathBuf> {
    process::run(process::cargo().args(["build", "--release", "--locked", "--package", "mlxm"]))?;
    Ok(workspace::target_directory()?
        .join("release")
        .join(format!("mlxm{}", env::consts::EXE_SUFFIX)))
}
