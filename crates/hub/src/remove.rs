//! Removes local models.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::config::HubConfig;
use crate::error::HubError;
use crate::layout::{RepoFolder, walk};
use crate::local::{LocalModel, LocalSource, scan};
use crate::repo_id::RepoId;

/// Result of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Name of the model.
    pub name: String,
    /// Removed commits; empty for a model in the local models directory.
    pub commits: Vec<String>,
    /// Freed disk space in bytes.
    pub bytes_freed: u64,
}

/// Removes the model with exactly this name, or one of its revisions (a commit or a ref).
pub(crate) fn remove(
    config: &HubConfig,
    name: &str,
    revision: Option<&str>,
) -> Result<Removed, HubError> {
    let not_local = || HubError::NoLocalModel {
        name: name.to_owned(),
    };
    let models = scan(&config.cache_dir, &config.models_dir)?;
    let mut found: Vec<&LocalModel> = models.iter().filter(|model| model.name == name).collect();
    // If both locations have the name, remove the one that it resolves to.
    found.sort_by_key(|model| model.source != LocalSource::ModelsDir);
    let model = *found.first().ok_or_else(not_local)?;

    match model.source {
        LocalSource::ModelsDir if revision.is_some() => Err(not_local()),
        LocalSource::ModelsDir => {
            let path = model.path.as_deref().ok_or_else(not_local)?;
            check_inside(&config.models_dir, path.parent().unwrap_or(path))?;
            let bytes_freed = freed_bytes(path, model.size_bytes);
            remove_tree(path)?;
            // Remove the owner's directory if it is empty.
            if let Some(parent) = path.parent().filter(|parent| *parent != config.models_dir) {
                let _ = fs::remove_dir(parent);
            }
            Ok(Removed {
                name: name.to_owned(),
                commits: Vec::new(),
                bytes_freed,
            })
        }
        LocalSource::HubCache => remove_cached(config, model, revision),
    }
}

fn remove_cached(
    config: &HubConfig,
    model: &LocalModel,
    revision: Option<&str>,
) -> Result<Removed, HubError> {
    let repo: RepoId = model.name.parse()?;
    let folder = RepoFolder::new(&config.cache_dir, &repo);
    check_not_locked(&folder, &model.name)?;

    let matches = |commit: &str, refs: &[String]| {
        revision
            .is_none_or(|revision| commit == revision || refs.iter().any(|name| name == revision))
    };
    let (removed, kept): (Vec<_>, Vec<_>) = model
        .revisions
        .iter()
        .partition(|candidate| matches(&candidate.commit, &candidate.refs));
    if removed.is_empty() && revision.is_some() {
        return Err(HubError::RevisionNotFound {
            repo: model.name.clone(),
            revision: revision.unwrap_or_default().to_owned(),
        });
    }
    let commits = removed
        .iter()
        .map(|revision| revision.commit.clone())
        .collect();
    if kept.is_empty() {
        let bytes_freed = freed_bytes(&folder.root, model.size_bytes);
        remove_tree(&folder.root)?;
        remove_locks(config, &folder);
        return Ok(Removed {
            name: model.name.clone(),
            commits,
            bytes_freed,
        });
    }
    for directory in [folder.refs(), folder.snapshots(), folder.blobs()] {
        check_inside(&config.cache_dir, &directory)?;
    }

    let blobs_of = |snapshot: &Path| {
        walk(snapshot)
            .into_iter()
            .filter_map(|pointer| fs::canonicalize(pointer).ok())
    };
    let needed: BTreeSet<_> = kept
        .iter()
        .flat_map(|revision| blobs_of(&revision.snapshot))
        .collect();
    let mut unreferenced = BTreeSet::new();
    let mut bytes_freed = 0;
    for revision in removed {
        // In file systems without symlinks, the files are in the snapshot.
        bytes_freed += walk(&revision.snapshot)
            .into_iter()
            .filter_map(|path| fs::symlink_metadata(path).ok())
            .filter(fs::Metadata::is_file)
            .map(|metadata| metadata.len())
            .sum::<u64>();
        unreferenced.extend(blobs_of(&revision.snapshot).filter(|blob| !needed.contains(blob)));
        // Remove refs and symlinks before blobs, so that an interruption leaves no dangling symlinks.
        for name in &revision.refs {
            let path = folder.refs().join(name);
            fs::remove_file(&path).map_err(|error| HubError::io("remove", &path, &error))?;
        }
        remove_tree(&revision.snapshot)?;
        let _ = fs::remove_dir_all(folder.no_exist(&revision.commit));
    }
    let root = fs::canonicalize(folder.blobs()).unwrap_or_else(|_| folder.blobs());
    // A symlink may point outside the cache; only blobs in the cache are removed.
    for blob in unreferenced.iter().filter(|blob| blob.starts_with(&root)) {
        let size = fs::metadata(blob).map_or(0, |metadata| metadata.len());
        fs::remove_file(blob).map_err(|error| HubError::io("remove", blob, &error))?;
        bytes_freed += size;
    }
    Ok(Removed {
        name: model.name.clone(),
        commits,
        bytes_freed,
    })
}

/// Removes what pulls of a repository have downloaded and no snapshot contains. Returns the freed bytes.
pub(crate) fn remove_partial(config: &HubConfig, repo: &RepoId) -> Result<u64, HubError> {
    let folder = RepoFolder::new(&config.cache_dir, repo);
    check_not_locked(&folder, repo.as_str())?;
    check_inside(&config.cache_dir, &folder.blobs())?;
    let needed: BTreeSet<_> = walk(&folder.snapshots())
        .into_iter()
        .filter_map(|pointer| fs::canonicalize(pointer).ok())
        .collect();
    let mut bytes_freed = 0;
    for blob in walk(&folder.blobs()) {
        let is_needed = fs::canonicalize(&blob).is_ok_and(|path| needed.contains(&path));
        if is_needed {
            continue;
        }
        let size = fs::symlink_metadata(&blob).map_or(0, |metadata| metadata.len());
        fs::remove_file(&blob).map_err(|error| HubError::io("remove", &blob, &error))?;
        bytes_freed += size;
    }
    if needed.is_empty() && folder.root.exists() {
        remove_tree(&folder.root)?;
        remove_locks(config, &folder);
    }
    Ok(bytes_freed)
}

fn check_not_locked(folder: &RepoFolder, name: &str) -> Result<(), HubError> {
    for lock in walk(folder.locks()) {
        let held = fs::File::open(&lock)
            .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)));
        if held {
            return Err(HubError::Busy {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// Rejects a directory below `root` that is elsewhere, since a symbolic link leads there: nothing in it is removed.
fn check_inside(root: &Path, directory: &Path) -> Result<(), HubError> {
    // Without the directory, there is nothing to remove.
    let Ok(path) = fs::canonicalize(directory) else {
        return Ok(());
    };
    if fs::canonicalize(root).is_ok_and(|root| path.starts_with(root)) {
        return Ok(());
    }
    Err(HubError::LinkedElsewhere { path })
}

/// The bytes that removing `path` frees: of a symbolic link, only the link is removed.
fn freed_bytes(path: &Path, size_bytes: u64) -> u64 {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if is_link { 0 } else { size_bytes }
}

/// Locks without a holder may stay.
fn remove_locks(config: &HubConfig, folder: &RepoFolder) {
    let locks = folder.locks();
    if check_inside(&config.cache_dir, locks.parent().unwrap_or(locks)).is_ok() {
        let _ = fs::remove_dir_all(locks);
    }
}

/// Removes a directory. Symbolic links are removed, and not what they lead to.
fn remove_tree(path: &Path) -> Result<(), HubError> {
    fs::remove_dir_all(path).map_err(|error| HubError::io("remove", path, &error))
}
