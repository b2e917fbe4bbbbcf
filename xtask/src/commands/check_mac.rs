//! `cargo xtask check-mac`: checks the workspace for macOS on any machine.

use crate::prerequisites::Prerequisite;
use crate::python::OLDEST;
use crate::{cross, prerequisites, process};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// Check the workspace for Macs with Apple Silicon, Metal included.
///
/// On Linux this first sets up a toolchain in the cache: the target's standard library (from rustup, or built from
/// Debian's Rust sources) and zig as the C compiler. Nothing is linked.
#[derive(Args)]
pub struct Arguments {}

pub fn execute(_: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers])?;
    if cfg!(target_os = "macos") {
        return check(process::cargo(), &[], lints_available());
    }
    prerequisites::require(&[Prerequisite::Python(OLDEST)])?;
    let toolchain = cross::Toolchain::prepare(&cross::MAC)?;
    check(
        toolchain.cargo()?,
        &["--target", cross::MAC.triple],
        toolchain.is_own_compiler() && lints_available(),
    )
}

/// Runs clippy if it belongs to the project's own compiler, else `cargo check`.
fn check(mut cargo: Command, target: &[&str], lints: bool) -> Result<()> {
    cargo.arg(if lints { "clippy" } else { "check" });
    cargo
        .args(["--workspace", "--all-targets", "--locked"])
        .args(target);
    if lints {
        cargo.args(["--", "--deny", "warnings"]);
    }
    process::run(&mut cargo)
}

fn lints_available() -> bool {
    prerequisites::require(&[Prerequisite::Clippy]).is_ok()
}
