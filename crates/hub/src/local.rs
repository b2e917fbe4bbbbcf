//! Local models: the shared cache and the local models directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::HubError;
use crate::files;
use crate::info::WeightsKind;
use crate::layout::{RepoFolder, is_hidden, relative_name, walk};
use crate::repo_id::RepoId;

pub(crate) const WEIGHTS_EXTENSION: &str = ".safetensors";
/// Tells which file has which tensor.
pub(crate) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
/// Models have fewer files.
const MAX_SHARDS: u32 = 10_000;
/// A larger index is not one.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// A local model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModel {
    /// Repository name, or path relative to the local models directory.
    pub name: String,
    /// Where it is stored.
    pub source: LocalSource,
    /// The directory to load, which is the snapshot of the best revision. `None` if only partial files exist.
    pub path: Option<PathBuf>,
    /// Cached revisions, best first; empty for a model in the local models directory.
    pub revisions: Vec<LocalRevision>,
    /// Disk usage in bytes. Blobs shared by revisions count once; partial files count.
    pub size_bytes: u64,
    /// Time of the last modification.
    pub last_modified: SystemTime,
    /// Whether `path` contains all files needed to load the model.
    pub complete: bool,
    /// Missing files. A name with `*` stands for any file that matches. Pipes and devices count as missing: they are not read.
    pub missing_files: Vec<String>,
}

impl LocalModel {
    /// The first `max_bytes` of a text in the directory that is loaded. A file that a symbolic link leads to is read only if it
    /// belongs to the model, too.
    ///
    /// # Errors
    /// If there is no such file, or it is not one of the model. Blocks.
    pub fn read_text(&self, name: &str, max_bytes: u64) -> io::Result<String> {
        let folder = self.path.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let root = match self.source {
            // Above `snapshots/<commit>`: links lead to the blobs.
            LocalSource::HubCache => folder.ancestors().nth(2).unwrap_or(folder),
            LocalSource::ModelsDir => folder,
        };
        let file = fs::canonicalize(folder.join(name))?;
        if !file.starts_with(fs::canonicalize(root)?) {
            let reason = format!("{name} is a link to a file of something else");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut bytes = Vec::new();
        let mut file = files::open(&file)?.take(max_bytes);
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A cached revision of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRevision {
    /// Commit hash.
    pub commit: String,
    /// Branches and tags that point to this commit.
    pub refs: Vec<String>,
    /// Snapshot directory.
    pub snapshot: PathBuf,
    /// Total size of the files in bytes.
    pub size_bytes: u64,
    /// Time of the last modification.
    pub last_modified: SystemTime,
    /// Whether all files needed to load the model exist, apart from the tokenizer.
    pub complete: bool,
    /// Missing files.
    pub missing_files: Vec<String>,
    /// Whether `tokenizer.json` exists.
    pub has_tokenizer: bool,
}

impl LocalRevision {
    /// Whether the branch `main` points to this commit.
    pub fn is_main(&self) -> bool {
        self.refs.iter().any(|name| name == "main")
    }

    /// Why another revision may be preferred.
    pub(crate) fn deficiency(&self) -> Option<String> {
        if !self.complete {
            Some(format!("lacks {}", self.missing_files.join(", ")))
        } else if !self.has_tokenizer {
            Some("has no tokenizer".to_owned())
        } else {
            None
        }
    }
}

/// Where a local model is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalSource {
    /// The cache shared with `huggingface_hub`.
    HubCache,
    /// The local models directory.
    ModelsDir,
}

/// Summary of a model directory.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub size_bytes: u64,
    pub last_modified: SystemTime,
    pub missing_files: Vec<String>,
    pub weights: WeightsKind,
    pub has_tokenizer: bool,
}

/// Inspects a model directory without opening its weights.
pub(crate) fn inspect(folder: &Path) -> Inspection {
    let mut size_bytes = 0;
    let mut last_modified = SystemTime::UNIX_EPOCH;
    let mut missing_files = BTreeSet::new();
    let mut names = BTreeSet::new();
    for path in walk(folder) {
        let Some(name) = relative_name(folder, &path).filter(|name| !is_hidden(name)) else {
            continue;
        };
        match fs::metadata(&path) {
            // A link to a directory.
            Ok(metadata) if metadata.is_dir() => {}
            // A pipe, a device, or an interrupted copy.
            Ok(metadata)
                if !metadata.is_file()
                    || (metadata.len() == 0 && name.ends_with(WEIGHTS_EXTENSION)) =>
            {
                missing_files.insert(name);
            }
            Ok(metadata) => {
                size_bytes += metadata.len();
                last_modified =
                    last_modified.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
                names.insert(name);
            }
            // A symlink whose blob is missing or incomplete.
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
            .any(|name| name.ends_with(WEIGHTS_EXTENSION))
    {
        missing_files.insert("*.safetensors".to_owned());
    }
    if indexed_files(folder).is_some_and(|indexed| indexed.is_subset(&names)) {
        // Other weights, complete or not, are left over.
        missing_files.retain(|name| !name.ends_with(WEIGHTS_EXTENSION));
    } else {
        for name in &names {
            missing_files.extend(shard_set(name).filter(|sibling| !names.contains(sibling)));
        }
    }
    Inspection {
        size_bytes,
        last_modified,
        missing_files: missing_files.into_iter().collect(),
        weights,
        has_tokenizer: names.contains("tokenizer.json"),
    }
}

/// The weight files that the index of a model names, if it has a valid one.
fn indexed_files(folder: &Path) -> Option<BTreeSet<String>> {
    parse_index(&files::read(&folder.join(WEIGHTS_INDEX), MAX_INDEX_BYTES).ok()?)
}

/// The weight files that an index with this content names. `None` if it is not valid.
pub(crate) fn parse_index(content: &[u8]) -> Option<BTreeSet<String>> {
    let index: serde_json::Value = serde_json::from_slice(content).ok()?;
    let files: Option<BTreeSet<String>> = index
        .get("weight_map")?
        .as_object()?
        .values()
        .map(|file| file.as_str().map(str::to_owned))
        .collect();
    files.filter(|files| !files.is_empty())
}

/// All file names of the shard set that `…-00001-of-00003.safetensors` belongs to. Without a complete index, which may be that
/// of another conversion, loading uses file names, too.
pub(crate) fn shard_set(name: &str) -> impl Iterator<Item = String> + use<> {
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
    // A name may claim any number of files.
    let shards = if shards > MAX_SHARDS { 0 } else { shards };
    (1..=shards).map(move |shard| format!("{prefix}-{shard:0width$}-of-{count}.safetensors"))
}

/// Lists the models in the cache and in the local models directory, sorted by name.
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

/// A cached repository. `None` if it contains neither snapshots nor blobs.
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
                has_tokenizer,
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
                has_tokenizer,
            }
        })
        .collect();
    // Complete revisions first, then those with a tokenizer, then the main branch, then the newest.
    revisions.sort_by_key(|revision| {
        std::cmp::Reverse((
            revision.complete,
            revision.has_tokenizer,
            revision.is_main(),
            revision.last_modified,
        ))
    });

    let mut size_bytes = 0;
    let mut last_modified = SystemTime::UNIX_EPOCH;
    let blobs = walk(&folder.blobs());
    // In file systems without symlinks, the files are in the snapshots.
    let stored = blobs.iter().cloned().chain(walk(&folder.snapshots()));
    let metadata = stored.filter_map(|path| fs::symlink_metadata(path).ok());
    for metadata in metadata.filter(fs::Metadata::is_file) {
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

/// The subdirectories of `folder`. Empty if it does not exist.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, HubError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
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
    fn inspect_reports_missing_shards() {
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
    fn complete_index_decides_which_weights_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
        write("config.json", "{}");
        write("model.safetensors", "x");
        write("model-00001-of-00003.safetensors", "x");
        let index = |file: &str| {
            let index = serde_json::json!({"weight_map": {"a": "model.safetensors", "b": file}});
            write("model.safetensors.index.json", &index.to_string());
            inspect(folder.path()).missing_files
        };
        assert!(index("model.safetensors").is_empty());
        let shards = [2, 3].map(|shard| format!("model-0000{shard}-of-00003.safetensors"));
        assert_eq!(index("model-00002-of-00003.safetensors"), shards);
        write("model.safetensors.index.json", "{");
        assert_eq!(inspect(folder.path()).missing_files, shards);
    }

    #[test]
    fn hidden_files_and_empty_weights_are_not_part_of_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
        write("config.json", "{}");
        write("model.safetensors", "x");
        fs::create_dir_all(folder.path().join(".cache/huggingface")).unwrap();
        for name in [
            "._config.json",
            "._model-00001-of-00002.safetensors",
            ".cache/huggingface/model-00001-of-00002.safetensors",
        ] {
            write(name, "hidden");
        }
        let inspection = inspect(folder.path());
        assert!(inspection.missing_files.is_empty(), "{inspection:?}");
        assert_eq!(inspection.size_bytes, 3);
        write("model.safetensors", "");
        assert_eq!(inspect(folder.path()).missing_files, ["model.safetensors"]);
    }

    #[test]
    fn inspect_reports_missing_weights_and_config() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            inspect(folder.path()).missing_files,
            ["*.safetensors", "config.json"]
        );
    }

    #[test]
    fn inspect_reports_dangling_symlinks_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::os::unix::fs::symlink("../blobs/gone", folder.path().join("model.safetensors"))
            .unwrap();
        assert_eq!(inspect(folder.path()).missing_files, ["model.safetensors"]);
    }
}
