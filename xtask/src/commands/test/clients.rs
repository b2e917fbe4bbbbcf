//! The official clients and coding agents of OpenAI and Anthropic against a running server.

use super::environment::TestEnvironment;
use crate::{node, process, python, workspace};
use anyhow::{Context, Result};
use std::fs;

/// Runs both suites, even if the first one fails.
pub fn run(environment: &TestEnvironment) -> Result<()> {
    let in_python = in_python(environment);
    let in_node = in_node(environment);
    in_python.and(in_node)
}

fn in_python(environment: &TestEnvironment) -> Result<()> {
    let path = workspace::root().join("tests/clients/python/requirements.txt");
    let requirements =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let venv = python::Environment::prepare("clients", super::environment::MINOR, &requirements)?;
    let mut python = venv.python();
    python
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MLXM_BIN", environment.program())
        .env("MLXM_STARTER_MODEL", environment.starter_model())
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .arg("tests/clients/python");
    process::run(&mut python)
}

fn in_node(environment: &TestEnvironment) -> Result<()> {
    let project = workspace::root().join("tests/clients/node");
    let packages = node::Packages::prepare("clients", &project)?;
    let mut node = packages.node();
    node.env("MLXM_BIN", environment.program())
        .env("MLXM_STARTER_MODEL", environment.starter_model())
        .env("MLXM_AGENT_TRANSCRIPTS", environment.target.join("agents"))
        .args(["--test", "--test-reporter=spec"])
        .args([
            "tests/clients/node/openai.test.cjs",
            "tests/clients/node/agents.test.cjs",
            "tests/clients/node/snippets.test.cjs",
        ]);
    process::run(&mut node)
}
