//! Memory-mapped tensors by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use mlxm_kernels::Bytes;
use safetensors::Dtype;

use super::header::read_header;
use super::index::weight_files;
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
    tensors: Tensors,
    /// Names of matrices that are stored with the other axis first.
    transposed: BTreeSet<String>,
    size_bytes: u64,
}

impl Weights {
    /// Maps the weight files of a folder: those that `model.safetensors.index.json` names if they all exist, else every
    /// `model*.safetensors`.
    ///
    /// # Errors
    /// When there is no such file, one is truncated or corrupt, or two of them have a tensor of the same name.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let mut weights = Self::default();
        let mut files_by_tensor = HashMap::new();
        for path in weight_files(folder)? {
            weights.add_file(&path, &mut files_by_tensor)?;
        }
        Ok(weights)
    }

    /// Adds the tensors of a file. `files_by_tensor` has the files of those that were added before.
    fn add_file(
        &mut self,
        path: &Path,
        files_by_tensor: &mut HashMap<String, PathBuf>,
    ) -> Result<(), LoadError> {
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
        let entries = read_header(&map)
            .map_err(|error| corrupt(format!("not a complete safetensors file ({error})")))?;
        for entry in entries {
            if let Some(first) = files_by_tensor.insert(entry.name.clone(), path.into()) {
                return Err(LoadError::DuplicateTensor {
                    name: entry.name,
                    first,
                    second: path.into(),
                });
            }
            // SAFETY: the map is of a file, and `Mmap` has no method that writes to it.
            let bytes = unsafe { Bytes::mapped(Arc::clone(&map), entry.range) };
            self.tensors.insert(
                entry.name,
                RawTensor {
                    dtype: entry.info.dtype,
                    shape: entry.info.shape,
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

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
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

    /// Removes the axes of length 1 of the tensors whose name satisfies the predicate.
    pub fn squeeze(&mut self, applies: impl Fn(&str) -> bool) {
        for (_, tensor) in self.tensors.iter_mut().filter(|(name, _)| applies(name)) {
            tensor.shape.retain(|length| *length != 1);
        }
    }

    /// Swaps the axes of a matrix. The elements are moved when it is loaded.
    pub fn transpose(&mut self, name: &str) {
        let Some(tensor) = self.tensors.get_mut(name) else {
            return;
        };
        tensor.shape.reverse();
        if !self.transposed.remove(name) {
            self.transposed.insert(name.to_owned());
        }
    }

    /// Whether the elements of a matrix are stored with the other axis first.
    pub(super) fn is_transposed(&self, name: &str) -> bool {
        self.transposed.contains(name)
    }

    /// Keeps the tensors whose name satisfies the predicate.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        // Not generic: it would be compiled for each model.
        retain(&mut self.tensors, &mut keep);
    }

    /// Renames every tensor; `None` removes it. To be called before [`Self::transpose`].
    pub fn rename(&mut self, mut rename: impl FnMut(&str) -> Option<String>) {
        self.tensors = renamed(std::mem::take(&mut self.tensors), &mut rename);
    }
}

type Tensors = BTreeMap<String, RawTensor>;

fn retain(tensors: &mut Tensors, keep: &mut dyn FnMut(&str) -> bool) {
    tensors.retain(|name, _| keep(name));
}

fn renamed(tensors: Tensors, rename: &mut dyn FnMut(&str) -> Option<String>) -> Tensors {
    let tensors = tensors.into_iter();
    tensors
        .filter_map(|(name, tensor)| Some((rename(&name)?, tensor)))
        .collect()
}
