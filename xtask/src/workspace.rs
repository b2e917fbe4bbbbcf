//! Directories and files of the clone.

use crate::process;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::{env, fs};

/// The root of the clone.
pub fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run`; the constant is for a binary that is started directly.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Cargo's target directory, which the user may have configured.
pub fn target_directory() -> Result<PathBuf> {
    let metadata = process::read(process::cargo().args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let directory = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target directory")?;
    Ok(directory.into())
}

/// Paths of the files git tracks or would track, relative to the root.
pub fn files() -> Result<Vec<PathBuf>> {
    let listing = process::read(process::program("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let root = root();
    Ok(listing
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .filter(|path| {
            fs::symlink_metadata(root.join(path)).is_ok_and(|metadata| metadata.is_file())
        })
        .collect())
}
