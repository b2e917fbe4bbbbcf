//! `cargo xtask check-mac`: the program as a Mac would build it, checked on any machine.

use crate::prerequisites::Prerequisite;
use crate::python::OLDEST;
use crate::{foreign, prerequisites, process};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// Check the workspace for Macs with Apple Silicon, Metal included.
///
/// On Linux this sets a toolchain up once: the target's standard library (from rustup, or built from Debian's Rust
/// sources) and zig as the C compiler. Nothing is linked.
#[derive(Args)]
pub struct Arguments {}

pub fn execute(_: &Arguments) -> Result<()> {
    prerequisites::require(&[Prerequisite::CCompilers])?;
    if cfg!(target_os = "macos") {
        return check(process::cargo(), &[], lints_available());
    }
    prerequisites::require(&[Prerequisite::Python(OLDEST)])?;
    let toolchain = foreign::Toolchain::prepare(&foreign::MAC)?;
    check(
        toolchain.cargo()?,
        &["--target", foreign::MAC.triple],
        toolchain.is_own_compiler() && lints_available(),
    )
}

/// With clippy where its lints are those of the project's own compiler, else with the compiler alone.
fn check(mut cargo: Command, target: &[&str], lints: bool) -> Result<()> {
    cargo.arg(if lints { "clippy" } else { "check" });
    cargo
        .args([
            "--workspace",
            "--all-targets",
            "--features",
            "metal",
            "--locked",
        ])
        .args(target);
    if lints {
        cargo.args(["--", "--deny", "warnings"]);
    }
    process::run(&mut cargo)
}

fn lints_available() -> bool {
    prerequisites::require(&[Prerequisite::Clippy]).is_ok()
}
