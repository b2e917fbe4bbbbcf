//! What is on this machine: the shared cache and the folder of local models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::HubError;
use crate::info::WeightsKind;
use crate::layout::{RepoFolder, relative_name, walk};
use crate::repo_id::RepoId;

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModel {
    /// How it is called: a repository name, or a path below the local models folder.
    pub name: String,
    /// Where it is.
    pub source: LocalSource,
    /// The folder to load it from: the snapshot of the best revision. `None` while nothing but
    /// partial files is there.
    pub path: Option<PathBuf>,
    /// Its revisions, the best first; empty for a model of the local models folder.
    pub revisions: Vec<LocalRevision>,
    /// What it occupies on disk; content shared by revisions counts once, partial files count.
    pub size_bytes: u64,
    /// When its content last changed.
    pub last_modified: SystemTime,
    /// Whether `path` holds everything needed to load it.
    pub complete: bool,
    /// What `path` lacks. A name with `*` stands for a kind of file.
    pub missing_files: Vec<String>,
}

/// A cached revision of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRevision {
    /// The commit.
    pub commit: String,
    /// Branches and tags known to be this commit.
    pub refs: Vec<String>,
    /// Its folder.
    pub snapshot: PathBuf,
    /// The size of its files.
    pub size_bytes: u64,
    /// When its content last changed.
    pub last_modified: SystemTime,
    /// Whether everything needed to load it is there.
    pub complete: bool,
    /// What is not.
    pub missing_files: Vec<String>,
}

/// Where a local model is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalSource {
    /// The cache shared with `huggingface_hub`.
    HubCache,
    /// The folder of models made on this machine.
    ModelsDir,
}

/// What a look into a model folder tells.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub size_bytes: u64,
    pub last_modified: SystemTime,
    pub missing_files: Vec<String>,
    pub weights: WeightsKind,
}

/// Looks at a model folder without opening its weights.
pub(crate) fn inspect(folder: &Path) -> Inspection {
    let mut size_bytes = 0;
    let mut last_modified = SystemTime::UNIX_EPOCH;
    let mut missing_files = BTreeSet::new();
    let mut names = BTreeSet::new();
    for path in walk(folder) {
        let Some(name) = relative_name(folder, &path) else {
            continue;
        };
        match fs::metadata(&path) {
            Ok(metadata) => {
                size_bytes += metadata.len();
                last_modified =
                    last_modified.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
                names.insert(name);
            }
            // A link whose blob is gone or was never finished.
            Err(_) => {
                missing_files.insert(name);
            }
        }
    }
    if !names.contains("config.json") {
        missing_files.insert("config.json".to_owned());
    }
    let weights = WeightsKind::of(names.iter().map(String::as_str));
    if weights != WeightsKind::Safetensors
        && !missing_files
            .iter()
            .any(|name| name.ends_with(".safetensors"))
    {
        missing_files.insert("*.safetensors".to_owned());
    }
    for name in &names {
        missing_files.extend(shard_set(name).filter(|sibling| !names.contains(sibling)));
    }
    Inspection {
        size_bytes,
        last_modified,
        missing_files: missing_files.into_iter().collect(),
        weights,
    }
}

/// All names of the set a `…-00001-of-00003.safetensors` belongs to. The file names are what
/// loading goes by: an index may be left over from another set.
fn shard_set(name: &str) -> impl Iterator<Item = String> + use<> {
    let parsed = || {
        let stem = name.strip_suffix(".safetensors")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let width = number.len();
        let is_number =
            |text: &str| text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        (width <= 6 && is_number(number) && is_number(count)).then_some((
            prefix.to_owned(),
            width,
            count.to_owned(),
        ))
    };
    let (prefix, width, count) = parsed().unwrap_or_default();
    let shards = count.parse::<u32>().unwrap_or(0);
    (1..=shards).map(move |shard| format!("{prefix}-{shard:0width$}-of-{count}.safetensors"))
}

/// Lists the models of both places, by name.
pub(crate) fn scan(cache_dir: &Path, models_dir: &Path) -> Result<Vec<LocalModel>, HubError> {
    let mut models = Vec::new();
    for folder in subfolders(cache_dir)? {
        let repo = folder
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(RepoId::from_folder_name);
        models.extend(repo.and_then(|repo| cached_model(cache_dir, &repo)));
    }
    for folder in subfolders(models_dir)? {
        if folder.join("config.json").exists() {
            models.extend(folder_model(models_dir, &folder));
        } else {
            for inner in subfolders(&folder).unwrap_or_default() {
                if inner.join("config.json").exists() {
                    models.extend(folder_model(models_dir, &inner));
                }
            }
        }
    }
    models.sort_by_key(|model| model.name.to_lowercase());
    Ok(models)
}

/// One repository of the cache, unless there is nothing of it.
pub(crate) fn cached_model(cache_dir: &Path, repo: &RepoId) -> Option<LocalModel> {
    let folder = RepoFolder::new(cache_dir, repo);
    let mut refs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, commit) in folder.read_refs() {
        refs.entry(commit).or_default().push(name);
    }
    let mut revisions: Vec<LocalRevision> = subfolders(&folder.snapshots())
        .unwrap_or_default()
        .into_iter()
        .map(|snapshot| {
            let commit = snapshot
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let Inspection {
                size_bytes,
                last_modified,
                missing_files,
                ..
            } = inspect(&snapshot);
            LocalRevision {
                refs: refs.remove(&commit).unwrap_or_default(),
                commit,
                snapshot,
                size_bytes,
                last_modified,
                complete: missing_files.is_empty(),
                missing_files,
            }
        })
        .collect();
    // A complete one first; among those the main branch, then the newest.
    revisions.sort_by_key(|revision| {
        let is_main = revision.refs.iter().any(|name| name == "main");
        std::cmp::Reverse((revision.complete, is_main, revision.last_modified))
    });

    let mut size_bytes = 0;
    let mut last_modified = SystemTime::UNIX_EPOCH;
    let blobs = walk(&folder.blobs());
    for metadata in blobs.iter().filter_map(|blob| fs::metadata(blob).ok()) {
        size_bytes += metadata.len();
        last_modified = last_modified.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    }
    if revisions.is_empty() && blobs.is_empty() {
        return None;
    }
    let best = revisions.first();
    Some(LocalModel {
        name: repo.to_string(),
        source: LocalSource::HubCache,
        path: best.map(|revision| revision.snapshot.clone()),
        complete: best.is_some_and(|revision| revision.complete),
        missing_files: best.map_or_else(
            || vec!["config.json".to_owned()],
            |revision| revision.missing_files.clone(),
        ),
        size_bytes,
        last_modified,
        revisions,
    })
}

fn folder_model(models_dir: &Path, folder: &Path) -> Option<LocalModel> {
    let Inspection {
        size_bytes,
        last_modified,
        missing_files,
        ..
    } = inspect(folder);
    Some(LocalModel {
        name: relative_name(models_dir, folder)?,
        source: LocalSource::ModelsDir,
        path: Some(folder.to_owned()),
        revisions: Vec::new(),
        size_bytes,
        last_modified,
        complete: missing_files.is_empty(),
        missing_files,
    })
}

/// The folders in `folder`; none when it does not exist.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, HubError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(HubError::Io {
                action: "read",
                path: folder.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    Ok(entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_shard_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "config.json",
            "model-00001-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(
            inspect(folder.path()).missing_files,
            ["model-00002-of-00003.safetensors"]
        );
        fs::write(folder.path().join("model-00002-of-00003.safetensors"), "x").unwrap();
        assert!(inspect(folder.path()).missing_files.is_empty());
    }

    #[test]
    fn a_folder_without_weights_or_configuration_is_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            inspect(folder.path()).missing_files,
            ["*.safetensors", "config.json"]
        );
    }

    #[test]
    fn a_dangling_link_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::os::unix::fs::symlink("../blobs/gone", folder.path().join("model.safetensors"))
            .unwrap();
        assert_eq!(inspect(folder.path()).missing_files, ["model.safetensors"]);
    }
}
