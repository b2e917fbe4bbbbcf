//! From what a person types to a folder: a path, a name, or a unique part of a name.

use std::path::{Path, PathBuf};

use crate::config::HubConfig;
use crate::error::HubError;
use crate::info::WeightsKind;
use crate::local::{LocalModel, inspect, scan};
use crate::repo_id::RepoId;

/// How alike a name must be to be suggested, from 0 to 1.
const MIN_SUGGESTION_SIMILARITY: f64 = 0.72;
const MAX_SUGGESTIONS: usize = 5;

/// A model found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// How it is called: a name of [`LocalModel`], or the path that was given.
    pub name: String,
    /// The folder to load.
    pub path: PathBuf,
    /// The commit, for a model of the cache.
    pub commit: Option<String>,
}

/// Why a name is no model that can be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No such folder.
    #[error("there is nothing at {}: check the path, or run `mlxm list` to see the models on this machine", .path.display())]
    NoSuchPath {
        /// The path.
        path: PathBuf,
    },
    /// A file or folder that is no model.
    #[error("{} is not a model folder: {reason}", .path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing of that name is here.
    #[error("no model `{name}` on this machine{}{}", pull_hint(.pullable.as_ref()), suggestion_hint(.nearest))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The repository it would be, when it is the name of one.
        pullable: Option<RepoId>,
        /// Names on this machine that are alike, the most alike first.
        nearest: Vec<String>,
    },
    /// Several models match.
    #[error("`{name}` could be {}: give more of the name", list(.candidates))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The names that match.
        candidates: Vec<String>,
    },
    /// The model is here, but not all of it.
    #[error("`{name}` is not complete, it lacks {}{}", list(.missing_files), pull_hint(.pullable.as_ref()))]
    Incomplete {
        /// Its name.
        name: String,
        /// What is missing.
        missing_files: Vec<String>,
        /// The repository to pull, for a model of the cache.
        pullable: Option<RepoId>,
    },
    /// The model is here, but not this revision.
    #[error(
        "`{name}` is here, but not its revision `{revision}`: run `mlxm pull {name} --revision {revision}`"
    )]
    NoSuchRevision {
        /// Its name.
        name: String,
        /// What was asked for.
        revision: String,
    },
    /// The models could not be listed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

fn pull_hint(repo: Option<&RepoId>) -> String {
    repo.map_or_else(
        || "; `mlxm list` shows what there is, `mlxm search` what can be had".to_owned(),
        |repo| format!("; run `mlxm pull {repo}`"),
    )
}

fn suggestion_hint(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", list(names))
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

/// The model that `name` means, whether complete or not.
pub(crate) fn find(config: &HubConfig, name: &str) -> Result<LocalModel, ResolveError> {
    let models = scan(&config.cache_dir, &config.models_dir)?;
    let wanted = name.to_lowercase();
    let last_part = |model: &LocalModel| {
        model
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_lowercase()
    };

    // The closest kind of match decides; within it there must be one model.
    let tiers: [&dyn Fn(&LocalModel) -> bool; 4] = [
        &|model| model.name == name,
        &|model| model.name.to_lowercase() == wanted,
        &|model| last_part(model) == wanted,
        &|model| !wanted.is_empty() && model.name.to_lowercase().contains(&wanted),
    ];
    for matches in tiers {
        let mut found: Vec<&LocalModel> = models.iter().filter(|model| matches(model)).collect();
        // What cannot be loaded does not make a name ambiguous.
        if found.iter().any(|model| model.complete) {
            found.retain(|model| model.complete);
        }
        match found.as_slice() {
            [] => {}
            [model] => return Ok((*model).clone()),
            several => {
                // The same name in both places: the one made here shadows the cached one.
                if several.iter().all(|model| model.name == several[0].name) {
                    let shadowing = several.iter().find(|model| model.revisions.is_empty());
                    return Ok((*shadowing.unwrap_or(&several[0])).clone());
                }
                return Err(ResolveError::Ambiguous {
                    name: name.to_owned(),
                    candidates: several.iter().map(|model| model.name.clone()).collect(),
                });
            }
        }
    }

    let mut alike: Vec<(f64, String)> = models
        .iter()
        .map(|model| {
            let whole = strsim::jaro_winkler(&wanted, &model.name.to_lowercase());
            (
                whole.max(strsim::jaro_winkler(&wanted, &last_part(model))),
                model.name.clone(),
            )
        })
        .filter(|(similarity, _)| *similarity >= MIN_SUGGESTION_SIMILARITY)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    Err(ResolveError::NotFound {
        name: name.to_owned(),
        pullable: name
            .parse()
            .ok()
            .filter(|repo: &RepoId| repo.owner().is_some()),
        nearest: alike
            .into_iter()
            .map(|(_, name)| name)
            .take(MAX_SUGGESTIONS)
            .collect(),
    })
}

/// The folder of the model that `name` means, at `revision` when one is given.
pub(crate) fn resolve(
    config: &HubConfig,
    name: &str,
    revision: Option<&str>,
) -> Result<Resolved, ResolveError> {
    let path = Path::new(name);
    let must_be_path =
        path.is_absolute() || name.starts_with("./") || name.starts_with("../") || name == ".";
    if must_be_path || path.join("config.json").is_file() {
        return resolve_path(path);
    }
    let model = match find(config, name) {
        Err(ResolveError::NotFound { .. }) if path.exists() => return resolve_path(path),
        outcome => outcome?,
    };

    let incomplete = |missing_files: &[String]| ResolveError::Incomplete {
        name: model.name.clone(),
        missing_files: missing_files.to_vec(),
        pullable: if model.revisions.is_empty() && model.path.is_some() {
            None
        } else {
            model.name.parse().ok()
        },
    };
    if let Some(revision) = revision {
        let found = model.revisions.iter().find(|candidate| {
            candidate.commit == revision
                || candidate.refs.iter().any(|name| name == revision)
                || (revision.len() >= 7 && candidate.commit.starts_with(revision))
        });
        return match found {
            Some(found) if found.complete => Ok(Resolved {
                name: model.name.clone(),
                path: found.snapshot.clone(),
                commit: Some(found.commit.clone()),
            }),
            Some(found) => Err(incomplete(&found.missing_files)),
            None => Err(ResolveError::NoSuchRevision {
                name: model.name.clone(),
                revision: revision.to_owned(),
            }),
        };
    }
    match &model.path {
        Some(path) if model.complete => Ok(Resolved {
            name: model.name.clone(),
            path: path.clone(),
            commit: model
                .revisions
                .first()
                .map(|revision| revision.commit.clone()),
        }),
        _ => Err(incomplete(&model.missing_files)),
    }
}

fn resolve_path(path: &Path) -> Result<Resolved, ResolveError> {
    let not_a_model = |reason: String| ResolveError::NotAModel {
        path: path.to_owned(),
        reason,
    };
    if !path.exists() {
        return Err(ResolveError::NoSuchPath {
            path: path.to_owned(),
        });
    }
    if !path.is_dir() {
        let is_gguf = path
            .extension()
            .is_some_and(|extension| extension == "gguf");
        return Err(not_a_model(if is_gguf {
            format!(
                "it is a GGUF file; convert it first with `mlxm convert {} OUTPUT`",
                path.display()
            )
        } else {
            "it is a file; give the folder that holds config.json and the weights".to_owned()
        }));
    }
    if !path.join("config.json").exists() {
        return Err(not_a_model(describe_other_folder(path)));
    }
    let inspection = inspect(path);
    if inspection.missing_files.is_empty() {
        return Ok(Resolved {
            name: path.display().to_string(),
            path: path.to_owned(),
            commit: None,
        });
    }
    Err(not_a_model(match inspection.weights {
        kind @ (WeightsKind::GgufOnly | WeightsKind::PytorchOnly) => {
            format!("it {}", kind.describe())
        }
        _ => format!("it lacks {}", inspection.missing_files.join(", ")),
    }))
}

/// What a folder without a configuration is. Only its top level is looked at: it may be the root of a disk.
fn describe_other_folder(path: &Path) -> String {
    let names: Vec<String> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    match WeightsKind::of(names.iter().map(String::as_str)) {
        kind @ (WeightsKind::GgufOnly | WeightsKind::PytorchOnly) => {
            format!("it {}", kind.describe())
        }
        _ if names.is_empty() => "it is empty".to_owned(),
        _ => "it lacks config.json".to_owned(),
    }
}
