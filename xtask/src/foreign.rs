//! Toolchains on Linux for machines of another kind.
//!
//! Two things are missing to build for another target: the standard library, which rustup usually has and which
//! [`standard_library`] otherwise builds, and a C compiler and linker that know the target, for which [`c_compiler`]
//! takes zig. To run what was built for Linux on another processor takes an [`Emulator`].

mod c_compiler;
mod debian;
mod emulator;
mod standard_library;

pub use emulator::Emulator;

use crate::cache;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// A kind of machine that programs are built for.
pub struct Target {
    /// Rust's name of it.
    pub triple: &'static str,
    /// Zig's name of it.
    zig: &'static str,
    /// The directory in the cache that belongs to it.
    room: &'static str,
    /// Words that build scripts pass to the C compiler and that zig does not take, as patterns of the shell.
    foreign_words: &'static str,
    /// What the builds find in the environment.
    variables: &'static [(&'static str, &'static str)],
}

/// Macs with Apple Silicon. Programs for them are checked, not linked: that takes Apple's frameworks.
pub const MAC: Target = Target {
    triple: "aarch64-apple-darwin",
    zig: "aarch64-macos.13.0",
    room: "darwin",
    foreign_words: "arm64-apple-macosx*|-mmacosx-version-min=*|-arch|arm64|-isysroot",
    // The oldest macOS the program is built for.
    variables: &[("MACOSX_DEPLOYMENT_TARGET", "13.0")],
};

/// Linux on 64-bit Arm.
pub const ARM_LINUX: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    zig: "aarch64-linux-gnu",
    room: "arm-linux",
    foreign_words: "-march=*",
    // Backtraces through the emulator are not worth the time the linker needs.
    variables: &[("CARGO_PROFILE_DEV_DEBUG", "0")],
};

impl Target {
    /// A path in the target's part of the cache.
    fn cached(&self, name: &str) -> Result<PathBuf> {
        Ok(cache::directory()?.join(self.room).join(name))
    }

    /// Cargo's variable `name` for the target.
    pub fn cargo_variable(&self, name: &str) -> String {
        let target = self.triple.replace('-', "_").to_uppercase();
        format!("CARGO_TARGET_{target}_{name}")
    }
}

/// What it takes to build for a target.
pub struct Toolchain {
    target: &'static Target,
    standard_library: standard_library::StandardLibrary,
    c_compiler: c_compiler::Wrappers,
}

impl Toolchain {
    /// Sets the toolchain up, or finds it as an earlier call left it.
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

    /// Whether the compiler is the one the project is built with, so that its lints count.
    pub fn is_own_compiler(&self) -> bool {
        self.standard_library.is_own_compiler()
    }

    /// A cargo that builds for the target when told so by `--target`, with its own target directory in the cache.
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
