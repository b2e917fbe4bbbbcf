//! Requests to a gateway that a scenario is made of.

use crate::gateway::Gateway;
use crate::interrupt::wait_for;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::time::Duration;

use super::environment::STARTER;

/// Profiles of the starter model with different load settings, and so with workers of their own.
pub const PROFILES: [&str; 2] = ["first", "second"];

/// Far more than the starter model needs to load.
pub const LOAD_TIMEOUT: Duration = Duration::from_mins(2);

/// A process with a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    pub profile: String,
    pub pid: u32,
    pub is_ready: bool,
}

/// The JSON at `path`.
pub fn get(gateway: &Gateway, path: &str) -> Result<Value> {
    let (status, body) = gateway.request(path, None)?;
    if status != 200 {
        bail!("GET {path}: status {status}: {body}");
    }
    Ok(body)
}

/// Creates a profile of the starter model.
pub fn create_profile(gateway: &Gateway, config: &Value) -> Result<()> {
    let (status, body) = gateway.request("/api/profiles", Some(config))?;
    if status != 201 {
        bail!("the profile {config} is not created: status {status}: {body}");
    }
    Ok(())
}

/// Creates [`PROFILES`] and loads both. Returns their workers, in this order.
pub fn start_workers(gateway: &Gateway) -> Result<[Worker; 2]> {
    for (name, context_length) in PROFILES.into_iter().zip([1024, 2048]) {
        let load = json!({"context_length": context_length});
        create_profile(
            gateway,
            &json!({"name": name, "model": STARTER, "load": load}),
        )?;
        chat(gateway, name)?;
    }
    workers_of_profiles(gateway)
}

/// The workers of [`PROFILES`], both of which must be running.
pub fn workers_of_profiles(gateway: &Gateway) -> Result<[Worker; 2]> {
    let workers = workers(gateway)?;
    let of = |profile: &str| {
        let mut found = workers.iter().filter(|worker| worker.profile == profile);
        match (found.next(), found.next()) {
            (Some(worker), None) => Ok(worker.clone()),
            _ => bail!("not one worker of the profile `{profile}`: {workers:?}"),
        }
    };
    let [first, second] = PROFILES;
    Ok([of(first)?, of(second)?])
}

/// The workers whose process exists.
pub fn workers(gateway: &Gateway) -> Result<Vec<Worker>> {
    let list = get(gateway, "/api/servers")?;
    let servers = list["servers"].as_array().context("no list of servers")?;
    let mut workers = Vec::new();
    for server in servers {
        let Some(pid) = server["pid"].as_u64() else {
            continue;
        };
        workers.push(Worker {
            profile: server["profiles"][0]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            pid: u32::try_from(pid)?,
            is_ready: server["state"] == "ready",
        });
    }
    Ok(workers)
}

/// Asks a model for a completion of some tokens, which must succeed.
pub fn chat(gateway: &Gateway, model: &str) -> Result<()> {
    let (status, body) = try_chat(gateway, model)?;
    if status != 200 {
        bail!("a request for `{model}` failed: status {status}: {body}");
    }
    Ok(())
}

/// As [`chat`], with status and body of any response.
pub fn try_chat(gateway: &Gateway, model: &str) -> Result<(u16, Value)> {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let body = json!({"model": model, "messages": messages, "max_tokens": 3, "temperature": 0});
    gateway.request("/v1/chat/completions", Some(&body))
}

/// Waits until `/health` shows this status.
pub fn wait_for_health(gateway: &Gateway, status: &str, timeout: Duration) -> Result<()> {
    wait_for(&format!("the health `{status}`"), timeout, || {
        Ok((get(gateway, "/health")?["status"] == status).then_some(()))
    })
}
