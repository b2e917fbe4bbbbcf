//! The official clients of OpenAI and Anthropic against a running server.

use super::surroundings::Surroundings;
use crate::prerequisites::{Major, Prerequisite};
use crate::{node, process, python, workspace};
use anyhow::{Context, Result};
use std::fs;

/// The oldest Node.js that the clients' tests run on.
pub const NODE: Prerequisite = Prerequisite::Node(MAJOR);

const MAJOR: Major = 20;

/// Runs both suites, and says what failed in either.
pub fn run(surroundings: &Surroundings) -> Result<()> {
    let in_python = in_python(surroundings);
    let in_node = in_node(surroundings);
    in_python.and(in_node)
}

fn in_python(surroundings: &Surroundings) -> Result<()> {
    let path = workspace::root().join("tests/clients/python/requirements.txt");
    let requirements =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let environment =
        python::Environment::prepare("clients", super::surroundings::MINOR, &requirements)?;
    let mut python = environment.python();
    python
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MLXM_BIN", surroundings.program())
        .env("MLXM_STARTER_MODEL", surroundings.starter_model())
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .arg("tests/clients/python");
    process::run(&mut python)
}

fn in_node(surroundings: &Surroundings) -> Result<()> {
    let project = workspace::root().join("tests/clients/node");
    let packages = node::Packages::prepare("clients", MAJOR, &project)?;
    let mut node = packages.node();
    node.env("MLXM_BIN", surroundings.program())
        .env("MLXM_STARTER_MODEL", surroundings.starter_model())
        .args(["--test", "--test-reporter=spec"])
        .arg("tests/clients/node/openai.test.cjs");
    process::run(&mut node)
}
