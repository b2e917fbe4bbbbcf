//! The step `deny`: licences, duplicate versions and sources of dependencies, as deny.toml allows them.

use crate::{cache, process};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The version of cargo-deny.
const VERSION: &str = "0.20.2";

/// Checks the dependencies. Advisories are left to hosted CI: they need the network and change without a commit here.
pub fn check() -> Result<()> {
    process::run(process::program(program()?).args([
        "--all-features",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))
}

/// cargo-deny, built once into the cache unless it is installed in this version.
fn program() -> Result<PathBuf> {
    let installed = process::read(process::program("cargo-deny").arg("--version"));
    if installed.is_ok_and(|version| version.ends_with(VERSION)) {
        return Ok("cargo-deny".into());
    }
    let entry = cache::entry(&format!("cargo-deny-{VERSION}"), |directory| {
        let target = tempfile::tempdir_in(directory)?;
        eprintln!("building cargo-deny {VERSION} (some minutes, once)");
        // It runs for seconds, so an unoptimized build without debug information is the fastest way to a result.
        process::run(
            process::cargo()
                .args(["install", "cargo-deny", "--locked", "--quiet", "--debug"])
                .args(["--version", VERSION, "--no-track", "--root"])
                .arg(directory)
                .env("CARGO_TARGET_DIR", target.path())
                .env("CARGO_PROFILE_DEV_DEBUG", "0"),
        )
        .context("cargo could not install cargo-deny")
    })?;
    Ok(entry.join("bin/cargo-deny"))
}
