//! Paths and environments that the steps share.

use crate::prerequisites::{Minor, Prerequisite};
use crate::{cache, process, python, starter, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Paths that the steps share.
pub struct TestEnvironment {
    pub target: PathBuf,
}

impl TestEnvironment {
    /// Finds cargo's target directory.
    pub fn find() -> Result<Self> {
        Ok(Self {
            target: workspace::target_directory()?,
        })
    }

    /// The starter model in MLX format.
    pub fn starter_model(&self) -> PathBuf {
        starter::converted(&self.target)
    }

    /// The debug build of `mlxm`.
    pub fn program(&self) -> PathBuf {
        self.target
            .join("debug")
            .join(format!("mlxm{}", std::env::consts::EXE_SUFFIX))
    }

    /// Where the wheel is installed: in the target directory, so that each clone tests its own.
    pub fn python_packages(&self) -> PathBuf {
        self.target.join("python")
    }

    /// A cargo with the path of the starter model for tests.
    pub fn cargo(&self) -> Command {
        let mut command = process::cargo();
        command.env("MLXM_STARTER_MODEL", self.starter_model());
        command
    }

    /// A Python with the pinned packages, the wheel, the program and the starter model.
    pub fn python(&self) -> Result<Command> {
        let mut command = test_environment()?.python();
        command
            .env("PYTHONPATH", self.python_packages())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MLXM_BIN", self.program())
            .env("MLXM_TEST_CACHE", cache::directory()?.join("tests"))
            .env("MLXM_STARTER_MODEL", self.starter_model());
        Ok(command)
    }
}

/// The oldest Python that the reference implementations support.
pub const PYTHON: Prerequisite = Prerequisite::Python(MINOR);

/// Its minor version.
pub const MINOR: Minor = 11;

/// The virtual environment of the Python tests, without the wheel.
pub fn test_environment() -> Result<python::Environment> {
    let path = workspace::root().join("tests/python/requirements.txt");
    let requirements =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    python::Environment::prepare("tests", MINOR, &requirements)
}
