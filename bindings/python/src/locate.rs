//! Resolving a model name to a local directory.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};

use mlxm_hub::blocking::Hub;
use mlxm_hub::{CancellationToken, HubConfig, NoProgress, PullRequest, RepoId, ResolveError};
use pyo3::prelude::*;

use crate::error::{PyResultExt, invalid_option};
use crate::interrupt::SIGNAL_INTERVAL;

/// The directory of the model `name`: a path, a repository id, or a unique part of the name of a local model. Downloads only if
/// `pull`.
pub fn locate(
    py: Python<'_>,
    name: &Path,
    revision: Option<&str>,
    pull: bool,
) -> PyResult<PathBuf> {
    if revision.is_none() && name.join("config.json").is_file() {
        return Ok(name.into());
    }
    let text = name
        .to_str()
        .ok_or_else(|| invalid_option(format!("{} is not valid Unicode", name.display())))?;
    let hub = Hub::new(HubConfig::from_env().py()?).py()?;
    let resolved = py.detach(|| match revision {
        Some(revision) => hub.resolve_revision(text, revision),
        None => hub.resolve(text),
    });
    match resolved {
        Ok(resolved) => Ok(resolved.path),
        Err(
            ResolveError::NotFound {
                pullable: Some(repo),
                ..
            }
            | ResolveError::Incomplete {
                pullable: Some(repo),
                ..
            },
        ) if pull => download(py, hub, repo, revision),
        Err(error @ ResolveError::NoSuchRevision { .. }) if pull => match text.parse() {
            Ok(repo) => download(py, hub, repo, revision),
            Err(_) => Err(error).py(),
        },
        Err(error) => Err(error).py(),
    }
}

/// Downloads on another thread, so that this one can handle Ctrl-C.
fn download(py: Python<'_>, hub: Hub, repo: RepoId, revision: Option<&str>) -> PyResult<PathBuf> {
    let mut request = PullRequest::new(repo);
    request.revision = revision.map(str::to_owned);
    let cancel = CancellationToken::new();
    let (sender, receiver) = channel();
    let transfer = {
        let cancel = cancel.clone();
        std::thread::spawn(move || {
            // The receiver is dropped only when the process exits.
            let _ = sender.send(hub.pull(&request, &NoProgress, &cancel));
        })
    };
    let receiver = std::sync::Mutex::new(receiver);
    let mut interrupt = None;
    loop {
        let received = py.detach(|| match receiver.lock() {
            Ok(receiver) => receiver.recv_timeout(SIGNAL_INTERVAL),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        });
        match received {
            Ok(pulled) => {
                return match interrupt {
                    Some(interrupt) => Err(interrupt),
                    None => pulled.map(|model| model.snapshot).py(),
                };
            }
            Err(RecvTimeoutError::Disconnected) => {
                let panicked = transfer.join().is_err();
                return Err(invalid_option(if panicked {
                    "the download failed unexpectedly"
                } else {
                    "the download ended"
                }));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = py.check_signals() {
                    cancel.cancel();
                    interrupt = Some(error);
                }
            }
        }
    }
}
