//! Candidates for shell completion of names. Errors give no candidates: there is nowhere to report them.

use clap_complete::{ArgValueCandidates, CompletionCandidate};

use crate::gateway::{Gateway, GatewayArguments};
use crate::locate;

/// Local models.
pub fn models() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(local_models()))
}

/// Profiles.
pub fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(profile_names()))
}

/// What can be started: profiles and local models.
pub fn startable() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(profile_names().into_iter().chain(local_models())))
}

/// Running models.
pub fn servers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let servers = gateway().and_then(|gateway| gateway.servers().ok());
        candidates(servers.into_iter().flatten().map(|server| server.name))
    })
}

/// Downloads.
pub fn downloads() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let downloads = gateway().and_then(|gateway| gateway.downloads().ok());
        candidates(
            downloads
                .into_iter()
                .flatten()
                .map(|download| download.repo_id),
        )
    })
}

/// Settings.
pub fn settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let settings = gateway().and_then(|gateway| gateway.settings().ok());
        let settings = settings.into_iter().flatten();
        settings
            .map(|setting| {
                CompletionCandidate::new(setting.key).help(Some(setting.description.into()))
            })
            .collect()
    })
}

fn candidates(names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn local_models() -> Vec<String> {
    let local = locate::hub().and_then(|hub| Ok(hub.local()?));
    local
        .into_iter()
        .flatten()
        .map(|model| model.name)
        .collect()
}

fn profile_names() -> Vec<String> {
    let profiles = gateway().and_then(|gateway| gateway.profiles().ok());
    let profiles = profiles.into_iter().flatten();
    profiles.map(|profile| profile.config.name).collect()
}

fn gateway() -> Option<Gateway> {
    GatewayArguments::default().find().ok().flatten()
}
