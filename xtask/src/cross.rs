//! Cross-compilation on Linux for other targets.
//!
//! Another target needs its standard library, which comes from rustup or is built by [`standard_library`], and a C compiler
//! and linker, for which [`c_compiler`] uses zig. Programs for another CPU architecture run in an [`Emulator`].

mod c_compiler;
mod debian;
mod emulator;
mod standard_library;

pub use emulator::Emulator;

use crate::cache;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// A compilation target.
pub struct Target {
    /// Rust's name for it.
    pub triple: &'static str,
    /// Zig's name for it.
    zig: &'static str,
    /// Its directory in the cache.
    directory: &'static str,
    /// Arguments of build scripts to the C compiler that zig does not accept, as shell patterns.
    dropped_arguments: &'static str,
    /// Environment variables for its builds.
    variables: &'static [(&'static str, &'static str)],
}

/// Macs with Apple Silicon. Programs are checked but not linked, since linking needs Apple's frameworks.
pub const MAC: Target = Target {
    triple: "aarch64-apple-darwin",
    zig: "aarch64-macos.13.0",
    directory: "darwin",
    dropped_arguments: "arm64-apple-macosx*|-mmacosx-version-min=*|-arch|arm64|-isysroot",
    // The oldest supported macOS.
    variables: &[("MACOSX_DEPLOYMENT_TARGET", "13.0")],
};

/// Linux on 64-bit Arm.
pub const ARM_LINUX: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    zig: "aarch64-linux-gnu",
    directory: "arm-linux",
    dropped_arguments: "-march=*",
    // Debug information slows linking down and backtraces in the emulator are rarely needed.
    variables: &[("CARGO_PROFILE_DEV_DEBUG", "0")],
};

impl Target {
    /// A path in the target's cache directory.
    fn cached(&self, name: &str) -> Result<PathBuf> {
        Ok(cache::directory()?.join(self.directory).join(name))
    }

    /// Cargo's variable `name` for the target.
    pub fn cargo_variable(&self, name: &str) -> String {
        let target = self.triple.replace('-', "_").to_uppercase();
        format!("CARGO_TARGET_{target}_{name}")
    }
}

/// A toolchain for a target.
pub struct Toolchain {
    target: &'static Target,
    standard_library: standard_library::StandardLibrary,
    c_compiler: c_compiler::Wrappers,
}

impl Toolchain {
    /// Sets the toolchain up in the cache.
    pub fn prepare(target: &'static Target) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("building for {} works there and on Linux", target.triple);
        }
        Ok(Self {
            target,
            standard_library: standard_library::StandardLibrary::prepare(target)?,
            c_compiler: c_compiler::Wrappers::prepare(target)?,
        })
    }

    /// Whether it is the compiler that the project is built with, so that its lints apply.
    pub fn is_own_compiler(&self) -> bool {
        self.standard_library.is_own_compiler()
    }

    /// A cargo that can build for the target (with `--target`), with its own target directory in the cache.
    pub fn cargo(&self) -> Result<Command> {
        let mut command = self.standard_library.cargo(self.target);
        self.c_compiler.apply(&mut command);
        command
            .envs(self.target.variables.iter().copied())
            .env("CARGO_TARGET_DIR", self.target.cached("target")?)
            .env_remove("CARGO_BUILD_TARGET");
        Ok(command)
    }
}
