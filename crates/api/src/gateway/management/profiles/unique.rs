//! Names and ports that only one profile can have.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use mlxm_machine::port_holder;
use mlxm_store::profiles::Profile;
use mlxm_store::{Uuid, profiles};
use tokio::net::TcpListener;

use crate::gateway::GatewayState;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::settings::FIRST_PROFILE_PORT;
use crate::wire::profiles::ProfileConfig;

/// Checks that no other profile has the name or the port, and that no program listens on the port. `own` is the profile as it
/// is stored, if it exists.
///
/// # Errors
/// Names who has them.
pub async fn check(
    state: &GatewayState,
    config: &ProfileConfig,
    own: Option<&Profile>,
) -> Result<(), ApiProblem> {
    let own_id = own.map(|profile| profile.id);
    let all = profiles::list(state.store()).await?;
    check_name(&all, &config.name, own_id)?;
    let Some(port) = config.port else {
        return Ok(());
    };
    let mut others = all.iter().filter(|profile| Some(profile.id) != own_id);
    if let Some(holder) = others.find(|profile| profile.config.port == Some(port)) {
        let message = format!("port {port} is that of profile `{}`", holder.config.name);
        return Err(taken(state, &all, Code::PROFILE_PORT_TAKEN, message).await);
    }
    // What listens there now may be the profile itself.
    let is_unchanged = own.is_some_and(|profile| profile.config.port == Some(port));
    if is_unchanged {
        return Ok(());
    }
    if let Some(holder) = listener(state, config.host.as_deref(), port).await? {
        let message = format!("{holder} listens on port {port}");
        return Err(taken(state, &all, Code::PORT_IN_USE, message).await);
    }
    Ok(())
}

/// Checks that no other profile has the name.
///
/// # Errors
/// Names the model of the other profile.
pub fn check_name(all: &[Profile], name: &str, own: Option<Uuid>) -> Result<(), ApiProblem> {
    let mut others = all.iter().filter(|profile| Some(profile.id) != own);
    let Some(holder) = others.find(|profile| profile.config.name == name) else {
        return Ok(());
    };
    let message = format!(
        "`{name}` is the name of a profile of {} already",
        holder.config.model
    );
    Err(ApiProblem::new(Code::PROFILE_NAME_TAKEN, message.clone())
        .with_advice("choose another name, or change that profile")
        .with_field("name", "taken", message))
}

async fn taken(state: &GatewayState, all: &[Profile], code: Code, message: String) -> ApiProblem {
    let problem = ApiProblem::new(code, message.clone()).with_field("port", "taken", message);
    match next_port(state, all).await {
        Some(port) => problem.with_advice(format!("choose another port, such as {port}")),
        None => problem,
    }
}

/// The first port that no profile has and no program listens on.
pub async fn next_port(state: &GatewayState, all: &[Profile]) -> Option<u16> {
    let first = state.settings().get(&FIRST_PROFILE_PORT);
    let first = u16::try_from(first).unwrap_or(u16::MAX);
    for port in first..=u16::MAX {
        let is_taken = all.iter().any(|profile| profile.config.port == Some(port));
        if !is_taken && matches!(listener(state, None, port).await, Ok(None)) {
            return Some(port);
        }
    }
    None
}

/// Who listens on the port, if anyone does.
async fn listener(
    state: &GatewayState,
    host: Option<&str>,
    port: u16,
) -> Result<Option<String>, ApiProblem> {
    if state.address().port() == port {
        return Ok(Some("this gateway".to_owned()));
    }
    let servers = state.pool().servers().await?.servers;
    let mut records = servers.into_iter().map(|server| server.record);
    if let Some(record) = records.find(|record| record.port == Some(port)) {
        return Ok(Some(format!("the server of {}", record.name)));
    }
    let host = host.and_then(|host| host.parse().ok());
    let host = host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match TcpListener::bind((host, port)).await {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Some(program(port))),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let message = format!("this user may not listen on port {port}: choose one from 1024");
            Err(ApiProblem::field("port", "invalid_value", message))
        }
        Err(error) => {
            let message = format!("this machine cannot listen on {host}: {error}");
            Err(ApiProblem::field("host", "invalid_value", message))
        }
    }
}

/// The program that listens on the port, by name if the system tells it.
fn program(port: u16) -> String {
    port_holder(port).map_or_else(
        || "another program".to_owned(),
        |holder| format!("{} (process {})", holder.program, holder.pid),
    )
}
