//! The program.

use crate::{process, workspace};
use anyhow::Result;
use std::env;
use std::path::PathBuf;

/// How programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Release,
    Debug,
}

impl Profile {
    /// The directory of the programs in cargo's target directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Debug => "debug",
        }
    }
}

/// Builds the program for release and returns its path.
pub fn build() -> Result<PathBuf> {
    build_packages(Profile::Release, &["mlxm"])
}

/// Builds the program and the test hub, which is then next to it, and returns the program's path.
pub fn build_with_testhub(profile: Profile) -> Result<PathBuf> {
    build_packages(profile, &["mlxm", "mlxm-testhub"])
}

fn build_packages(profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--locked"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    for package in packages {
        cargo.args(["--package", package]);
    }
    process::run(&mut cargo)?;
    Ok(workspace::target_directory()?
        .join(profile.name())
        .join(format!("mlxm{}", env::consts::EXE_SUFFIX)))
}
