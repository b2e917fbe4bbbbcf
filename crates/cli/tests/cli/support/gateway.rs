//! Commands that use a running gateway.

use std::path::PathBuf;

use serde_json::Value;

use super::{Outcome, TestEnv};
use crate::gateway_process::{self, home, is_running, kill, wait_until};

/// A running gateway and its environment. It is stopped when the value is dropped.
pub struct Gateway<'a> {
    env: &'a TestEnv,
    process: gateway_process::Gateway,
}

impl<'a> Gateway<'a> {
    /// Starts a gateway without a hub.
    pub fn start(env: &'a TestEnv) -> Self {
        Self::start_with(env, &[])
    }

    /// Starts a gateway with these environment variables.
    pub fn start_with(env: &'a TestEnv, variables: &[(&str, &str)]) -> Self {
        Self {
            env,
            process: gateway_process::Gateway::start_with(env, &[], variables),
        }
    }

    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// Runs a command in the environment of the gateway.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.env.run(arguments)
    }

    /// Names of the running models.
    pub fn running(&self) -> Vec<String> {
        let servers = self.run(&["ps", "--json"]).json();
        let servers = servers.as_array().unwrap().iter();
        servers
            .map(|server| server["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Where a running gateway describes itself.
pub fn file(env: &TestEnv) -> PathBuf {
    home(env).join("gateway.json")
}

/// The description of the running gateway, if there is one.
pub fn description(env: &TestEnv) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(file(env)).ok()?).ok()
}

/// The gateway that a command of the environment starts in the background. It is stopped when the value is dropped.
pub struct InBackground<'a>(pub &'a TestEnv);

impl Drop for InBackground<'_> {
    fn drop(&mut self) {
        let Some(description) = description(self.0) else {
            return;
        };
        let pid = description["pid"].as_u64().unwrap() as u32;
        kill(pid, libc::SIGTERM);
        wait_until("the gateway stops", || !is_running(pid));
    }
}
