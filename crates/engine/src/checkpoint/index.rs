//! Which files of a folder hold the weights.
//!
//! Folders often have more weight files than those of the model: shards of an earlier conversion, or the whole model next to its
//! shards. `model.safetensors.index.json` tells them apart, but some repositories have the index of another conversion, which
//! names files that do not exist. So it decides if all of its files exist, and is ignored otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::{describe_contents, is_hidden, read_json};
use crate::error::LoadError;

const INDEX: &str = "model.safetensors.index.json";

/// The weight files of a folder, sorted. Other files that look like weights are logged.
///
/// # Errors
/// When there are none.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let found = model_files(folder)?;
    let files = match indexed_files(folder) {
        Some(indexed) => {
            let left_over: Vec<String> = found
                .iter()
                .filter(|path| !indexed.contains(*path))
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            if !left_over.is_empty() {
                tracing::warn!(
                    "{}: not loaded, because {INDEX} does not name them: {}",
                    folder.display(),
                    left_over.join(", ")
                );
            }
            indexed
        }
        None => found,
    };
    if files.is_empty() {
        return Err(LoadError::NoWeights {
            path: folder.into(),
            hint: describe_contents(folder),
        });
    }
    Ok(files.into_iter().collect())
}

/// Every `model*.safetensors` of a folder.
fn model_files(folder: &Path) -> Result<BTreeSet<PathBuf>, LoadError> {
    let entries = std::fs::read_dir(folder).map_err(|source| LoadError::Io {
        path: folder.into(),
        source,
    })?;
    let is_model = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("model") && name.ends_with(".safetensors"))
            && !is_hidden(path)
    };
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_model)
        .collect())
}

/// The files that the index names. `None` if there is no usable index, or one of its files does not exist.
fn indexed_files(folder: &Path) -> Option<BTreeSet<PathBuf>> {
    let path = folder.join(INDEX);
    if !path.is_file() {
        return None;
    }
    let ignored = |reason: String| {
        tracing::warn!(
            "{}: {reason}; the index is ignored, and every model*.safetensors is loaded",
            path.display()
        );
    };
    let index = match read_json(&path) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!("{error}; the index is ignored, and every model*.safetensors is loaded");
            return None;
        }
    };
    let Some(Value::Object(weight_map)) = index.get("weight_map") else {
        ignored("it has no `weight_map`".into());
        return None;
    };
    let mut files = BTreeSet::new();
    for name in weight_map.values() {
        // Files elsewhere are not part of the checkpoint.
        let file = name
            .as_str()
            .filter(|name| {
                Path::new(name)
                    .file_name()
                    .is_some_and(|file| file == *name)
            })
            .map(|name| folder.join(name))
            .filter(|file| file.is_file());
        let Some(file) = file else {
            ignored(format!("it names {name}, which is not in the folder"));
            return None;
        };
        files.insert(file);
    }
    (!files.is_empty()).then_some(files)
}
