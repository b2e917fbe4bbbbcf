//! A toolchain on Linux that can check (not link) programs for Macs with Apple Silicon.
//!
//! Two things are missing on Linux: the standard library for the target, which rustup usually has and which
//! [`standard_library`] otherwise builds, and a C compiler that knows the target, for which [`c_compiler`] takes zig.

mod c_compiler;
mod debian;
mod standard_library;

use crate::cache;
use anyhow::{Result, bail};
use std::process::Command;

/// Rust's name of the target.
pub const TARGET: &str = "aarch64-apple-darwin";

/// The oldest macOS the program is built for.
const MACOS: &str = "13.0";

/// What it takes to check for the target.
pub struct Toolchain {
    standard_library: standard_library::StandardLibrary,
    c_compiler: c_compiler::Wrappers,
}

impl Toolchain {
    /// Sets the toolchain up, or finds it as an earlier call left it.
    pub fn prepare() -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("checking for {TARGET} works on a Mac and on Linux");
        }
        Ok(Self {
            standard_library: standard_library::StandardLibrary::prepare()?,
            c_compiler: c_compiler::Wrappers::prepare()?,
        })
    }

    /// Whether the checks run with the compiler the project is built with, so that its lints count.
    pub fn is_own_compiler(&self) -> bool {
        self.standard_library.is_own_compiler()
    }

    /// A cargo for the target, with its own target directory in the cache.
    pub fn cargo(&self) -> Result<Command> {
        let mut command = self.standard_library.cargo();
        self.c_compiler.apply(&mut command);
        command
            .env("MACOSX_DEPLOYMENT_TARGET", MACOS)
            .env(
                "CARGO_TARGET_DIR",
                cache::directory()?.join("darwin/target"),
            )
            .env_remove("CARGO_BUILD_TARGET");
        Ok(command)
    }
}
