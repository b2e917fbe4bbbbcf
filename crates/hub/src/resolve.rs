//! Resolves a path, a name or a unique substring of a name to a model directory.

use std::path::{Path, PathBuf};

use crate::config::HubConfig;
use crate::error::HubError;
use crate::info::WeightsKind;
use crate::layout::is_hidden;
use crate::local::{LocalModel, inspect, scan};
use crate::names::{self, list};
use crate::repo_id::RepoId;

/// A resolved local model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Name of the [`LocalModel`], or the given path.
    pub name: String,
    /// The directory to load.
    pub path: PathBuf,
    /// The commit, for a cached model.
    pub commit: Option<String>,
}

impl Resolved {
    /// For a model that was given by path, its name without the location: that of the directory, or of the repository if the
    /// directory is a snapshot in a cache. `None` for a model that was given by name.
    pub fn directory_name(&self) -> Option<String> {
        if Path::new(&self.name) != self.path {
            return None;
        }
        let absolute = self.path.canonicalize();
        let absolute = absolute.as_deref().unwrap_or(&self.path);
        let repository = absolute
            .parent()
            .filter(|parent| parent.ends_with("snapshots"))
            .and_then(|parent| parent.parent()?.file_name()?.to_str())
            .and_then(RepoId::from_folder_name);
        if let Some(repository) = repository {
            return Some(repository.to_string());
        }
        let name = self.path.file_name().or_else(|| absolute.file_name());
        Some(name.map_or_else(
            || "model".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        ))
    }
}

/// Why a name cannot be resolved to a model.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The path does not exist.
    #[error("{} does not exist: check the path, or run `mlxm list` to see the local models", .path.display())]
    NoSuchPath {
        /// The path.
        path: PathBuf,
    },
    /// The path is not a model directory.
    #[error("{} is not a model directory: {reason}", .path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No local model has this name.
    #[error("no local model `{name}`{}{}", pull_hint(.pullable.as_ref()), suggestion_hint(.nearest))]
    NotFound {
        /// The requested value.
        name: String,
        /// The repository to pull, if the name is a valid repository name.
        pullable: Option<RepoId>,
        /// Similar names of local models, most similar first.
        nearest: Vec<String>,
    },
    /// Several models match.
    #[error("`{name}` is ambiguous, it could be {}: use a longer name", list(.candidates))]
    Ambiguous {
        /// The requested value.
        name: String,
        /// The names that match.
        candidates: Vec<String>,
    },
    /// The model is incomplete.
    #[error("`{name}` is incomplete, missing {}{}", .missing_files.join(", "), pull_hint(.pullable.as_ref()))]
    Incomplete {
        /// Model name.
        name: String,
        /// Missing files.
        missing_files: Vec<String>,
        /// The repository to pull, for a cached model.
        pullable: Option<RepoId>,
    },
    /// The model exists locally, but not at this revision.
    #[error(
        "revision `{revision}` of `{name}` is not available locally: run `mlxm pull {name} --revision {revision}`"
    )]
    NoSuchRevision {
        /// Model name.
        name: String,
        /// The requested value.
        revision: String,
    },
    /// The models could not be listed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

fn pull_hint(repo: Option<&RepoId>) -> String {
    repo.map_or_else(
        || "; run `mlxm list` to see the local models or `mlxm search` to find others".to_owned(),
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

/// Finds a local model by name, complete or not.
pub(crate) fn find(config: &HubConfig, name: &str) -> Result<LocalModel, ResolveError> {
    let models = scan(&config.cache_dir, &config.models_dir)?;
    let model_names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let mut found: Vec<&LocalModel> = names::matches(&model_names, name)
        .into_iter()
        .map(|index| &models[index])
        .collect();
    // Incomplete models do not make a name ambiguous.
    if found.iter().any(|model| model.complete) {
        found.retain(|model| model.complete);
    }
    match found.as_slice() {
        [] => Err(ResolveError::NotFound {
            name: name.to_owned(),
            pullable: RepoId::with_owner(name),
            nearest: names::nearest(&model_names, name),
        }),
        [model] => Ok((*model).clone()),
        several => {
            // A local model shadows a cached one with the same name.
            if several.iter().all(|model| model.name == several[0].name) {
                let shadowing = several.iter().find(|model| model.revisions.is_empty());
                return Ok((*shadowing.unwrap_or(&several[0])).clone());
            }
            Err(ResolveError::Ambiguous {
                name: name.to_owned(),
                candidates: several.iter().map(|model| model.name.clone()).collect(),
            })
        }
    }
}

/// Resolves `name` to a model directory, optionally at `revision`.
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
        Some(path) if model.complete => {
            log_choice(&model);
            Ok(Resolved {
                name: model.name.clone(),
                path: path.clone(),
                commit: model
                    .revisions
                    .first()
                    .map(|revision| revision.commit.clone()),
            })
        }
        _ => Err(incomplete(&model.missing_files)),
    }
}

/// Logs which snapshot of a cached model is used, and why not the one that `main` names or a newer one.
fn log_choice(model: &LocalModel) {
    let Some((chosen, others)) = model.revisions.split_first() else {
        return;
    };
    let passed_over = others
        .iter()
        .filter(|other| other.is_main() || other.last_modified > chosen.last_modified)
        .find_map(|other| Some((other, other.deficiency()?)));
    if let Some((other, deficiency)) = passed_over {
        tracing::warn!(
            "{}: using snapshot {}, because {}{} {deficiency}; run `mlxm pull {}` to complete it",
            model.name,
            chosen.commit,
            other.commit,
            if other.is_main() { " (main)" } else { "" },
            model.name,
        );
    } else {
        tracing::info!("{}: using snapshot {}", model.name, chosen.commit);
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
            "it is a file; use the directory that contains config.json and the weights".to_owned()
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
        _ => format!("missing {}", inspection.missing_files.join(", ")),
    }))
}

/// Describes a directory without `config.json`. Only its top level is read, because it may be a file system root.
fn describe_other_folder(path: &Path) -> String {
    let names: Vec<String> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !is_hidden(name))
        .collect();
    match WeightsKind::of(names.iter().map(String::as_str)) {
        kind @ (WeightsKind::GgufOnly | WeightsKind::PytorchOnly) => {
            format!("it {}", kind.describe())
        }
        _ if names.is_empty() => "it is empty".to_owned(),
        _ => "config.json is missing".to_owned(),
    }
}
