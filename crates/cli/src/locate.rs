//! Resolves MODEL on the command line to a local directory.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use mlxm_hub::blocking::Hub;
use mlxm_hub::{HubConfig, RepoId, ResolveError};

use crate::commands::pull_repository;
use crate::context::Context;
use crate::failure::Failure;

/// Whether to download a model that is not available locally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Download it.
    Always,
    /// Ask on the terminal, if there is one.
    Ask,
}

/// The hub client, configured from the environment.
pub fn hub() -> anyhow::Result<Hub> {
    Ok(Hub::new(HubConfig::from_env()?)?)
}

/// The directory of a local model.
pub fn local(name: &str) -> anyhow::Result<PathBuf> {
    Ok(hub()?.resolve(name)?.path)
}

/// The directory of a model, downloading it first if necessary.
pub fn local_or_fetched(context: &Context, name: &str, fetch: Fetch) -> anyhow::Result<PathBuf> {
    let hub = hub()?;
    let error = match hub.resolve(name) {
        Ok(resolved) => return Ok(resolved.path),
        Err(error) => error,
    };
    let Some(repo) = pullable(&error).cloned() else {
        return Err(error.into());
    };
    if fetch == Fetch::Ask && !confirm_download(&error, &repo)? {
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

fn confirm_download(error: &ResolveError, repo: &RepoId) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let state = if matches!(error, ResolveError::Incomplete { .. }) {
        "incomplete"
    } else {
        "not available locally"
    };
    confirm(&format!("{repo} is {state}. Download it?"))
}

/// Asks for confirmation on the terminal; anything but yes is no.
pub fn confirm(question: &str) -> anyhow::Result<bool> {
    confirm_or(question, "use --yes")
}

/// As [`confirm`], with what to do without a terminal.
pub fn confirm_or(question: &str, hint: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(
            Failure::Usage(format!("{question} Cannot ask without a terminal: {hint}")).into(),
        );
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut reply = String::new();
    io::stdin().read_line(&mut reply)?;
    Ok(matches!(reply.trim().to_lowercase().as_str(), "y" | "yes"))
}
