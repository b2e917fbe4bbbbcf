//! From MODEL on the command line to a folder on this machine.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use mlxm_hub::blocking::Hub;
use mlxm_hub::{HubConfig, RepoId, ResolveError};

use crate::commands::pull_repository;
use crate::context::Context;
use crate::failure::Failure;

/// Whether a model that is not here may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Fetch it.
    Always,
    /// Ask, if there is somebody to ask.
    Ask,
}

/// The hub and the local models, as the environment configures them.
pub fn hub() -> anyhow::Result<Hub> {
    Ok(Hub::new(HubConfig::from_env()?)?)
}

/// The folder of a model that is on this machine.
pub fn local(name: &str) -> anyhow::Result<PathBuf> {
    Ok(hub()?.resolve(name)?.path)
}

/// The folder of a model; one that is not here but could be is fetched first.
pub fn local_or_fetched(context: &Context, name: &str, fetch: Fetch) -> anyhow::Result<PathBuf> {
    let hub = hub()?;
    let error = match hub.resolve(name) {
        Ok(resolved) => return Ok(resolved.path),
        Err(error) => error,
    };
    let Some(repo) = pullable(&error).cloned() else {
        return Err(error.into());
    };
    if fetch == Fetch::Ask && !agrees(&error, &repo)? {
        return Err(error.into());
    }
    pull_repository(context, &hub, &repo)
}

fn pullable(error: &ResolveError) -> Option<&RepoId> {
    match error {
        ResolveError::NotFound { pullable, .. } | ResolveError::Incomplete { pullable, .. } => {
            pullable.as_ref()
        }
        _ => None,
    }
}

fn agrees(error: &ResolveError, repo: &RepoId) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let state = if matches!(error, ResolveError::Incomplete { .. }) {
        "not complete"
    } else {
        "not on this machine"
    };
    confirm(&format!("{repo} is {state}. Download it?"))
}

/// Asks a yes-or-no question on the terminal; anything but yes is no.
pub fn confirm(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} There is no terminal to ask on: add --yes"
        ))
        .into());
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
