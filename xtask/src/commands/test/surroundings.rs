//! Places and environments the steps share.

use crate::prerequisites::{Minor, Prerequisite};
use crate::{cache, process, python, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The steps' shared places.
pub struct Surroundings {
    pub target: PathBuf,
}

impl Surroundings {
    /// Asks cargo where it builds.
    pub fn find() -> Result<Self> {
        Ok(Self {
            target: workspace::target_directory()?,
        })
    }

    /// The starter model in MLX format.
    pub fn starter_model(&self) -> PathBuf {
        self.target.join("models/SmolLM2-135M-Instruct")
    }

    /// The program as the tests build it.
    pub fn program(&self) -> PathBuf {
        self.target
            .join("debug")
            .join(format!("mlxm{}", std::env::consts::EXE_SUFFIX))
    }

    /// Where the wheel is installed: in the target directory, so that clones do not test each other's.
    pub fn python_packages(&self) -> PathBuf {
        self.target.join("python")
    }

    /// A cargo whose tests find the starter model.
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

/// The Python that the oracles' newest releases ask for.
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
