//! Memory-mapped tensors by name.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use mlxm_kernels::Bytes;
use safetensors::{Dtype, SafeTensors};

use super::config::describe_contents;
use crate::error::LoadError;

/// A tensor of a checkpoint.
#[derive(Debug, Clone)]
pub struct RawTensor {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Row-major little-endian elements, memory-mapped.
    pub bytes: Bytes,
}

/// All tensors of a checkpoint by name.
#[derive(Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, RawTensor>,
    size_bytes: u64,
}

impl Weights {
    /// Maps every `model*.safetensors` of a folder. The index file is ignored.
    ///
    /// # Errors
    /// When there is no such file, or one is truncated or corrupt.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let mut weights = Self::default();
        let files = weight_files(folder)?;
        for path in &files {
            weights.add_file(path)?;
        }
        Ok(weights)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let io = |source| LoadError::Io {
            path: path.into(),
            source,
        };
        let corrupt = |problem: String| LoadError::CorruptWeights {
            path: path.into(),
            problem,
        };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Err(corrupt("the file is empty".into()));
        }
        // SAFETY: the map is read-only. If another process truncated the file, reads would fault; checkpoints are written to
        // temporary files and renamed, and never modified.
        let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(io)?);
        let parsed = SafeTensors::deserialize(&map)
            .map_err(|error| corrupt(format!("not a complete safetensors file ({error})")))?;
        let base = map.as_ptr() as usize;
        for (name, view) in parsed.iter() {
            let start = view.data().as_ptr() as usize - base;
            let range = start..start + view.data().len();
            // SAFETY: the map is of a file, and `Mmap` has no method that writes to it.
            let bytes = unsafe { Bytes::mapped(Arc::clone(&map), range) };
            self.tensors.insert(
                name.to_owned(),
                RawTensor {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    bytes,
                },
            );
        }
        self.size_bytes += map.len() as u64;
        Ok(())
    }

    /// Total size of the files in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&RawTensor> {
        self.tensors.get(name)
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawTensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: String, tensor: RawTensor) {
        self.tensors.insert(name, tensor);
    }

    /// Removes a tensor.
    pub fn remove(&mut self, name: &str) -> Option<RawTensor> {
        self.tensors.remove(name)
    }

    /// Keeps the tensors whose name satisfies the predicate.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.tensors.retain(|name, _| keep(name));
    }

    /// Renames every tensor; `None` removes it.
    pub fn rename(&mut self, mut rename: impl FnMut(&str) -> Option<String>) {
        let old = std::mem::take(&mut self.tensors);
        self.tensors = old
            .into_iter()
            .filter_map(|(name, tensor)| Some((rename(&name)?, tensor)))
            .collect();
    }
}

/// The weight files of a folder, sorted.
///
/// # Errors
/// When there are none.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let entries = std::fs::read_dir(folder).map_err(|source| LoadError::Io {
        path: folder.into(),
        source,
    })?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("model") && name.ends_with(".safetensors")
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(LoadError::NoWeights {
            path: folder.into(),
            hint: describe_contents(folder),
        });
    }
    Ok(files)
}
