//! Another program has the port of the gateway, or the one that a profile is to have.

use super::environment::{Environment, Home, STARTER};
use super::{Outcome, api};
use crate::gateway::Gateway;
use anyhow::{Result, bail};
use serde_json::json;
use std::net::TcpListener;

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::with_starter(environment)?;
    // This process is the other program.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let port = address.port();
    let mut command = home.command()?;
    command.env("MLXM_SERVER_PORT", port.to_string());
    let output = home.fail(command)?;
    expect_holder(&output, &format!("cannot listen on {address}"))?;

    let gateway = home.start()?;
    let profile = json!({"name": "own-port", "model": STARTER, "port": port});
    let (status, body) = gateway.request("/api/profiles", Some(&profile))?;
    if status != 409 {
        bail!("a profile with a port that is in use: status {status}: {body}");
    }
    expect_holder(&body.to_string(), &format!("listens on port {port}"))?;
    api::create_profile(&gateway, &json!({"name": "own-port", "model": STARTER}))?;
    api::chat(&gateway, "own-port")?;
    home.stop(gateway)?;

    drop(listener);
    let mut command = home.command()?;
    command.env("MLXM_SERVER_PORT", port.to_string());
    let gateway = Gateway::run(command, home.path())?;
    if gateway.address() != address.to_string() {
        bail!(
            "the gateway listens on {} instead of {address}",
            gateway.address()
        );
    }
    home.stop(gateway)?;
    Ok(Outcome::Passed(
        "gateway and profile were rejected with the program that has the port; started when it was free".to_owned(),
    ))
}

/// Checks that the text has `part`, and on Linux the id of this process, which has the port.
fn expect_holder(text: &str, part: &str) -> Result<()> {
    let process = format!("process {}", std::process::id());
    if !text.contains(part) || (cfg!(target_os = "linux") && !text.contains(&process)) {
        bail!("the error does not have `{part}` and `{process}`:\n{text}");
    }
    Ok(())
}
