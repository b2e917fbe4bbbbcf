//! The output directory. Weight files of bounded size are created with their headers and then filled row by row. All
//! files are written to a hidden sibling directory that is renamed to the output when it is complete.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::ConvertError;
use super::plan::{OutputTensor, bytes_of};

/// Maximum size of a weight file, unless a single tensor is larger. The same as `MAX_FILE_SIZE_GB` of mlx-lm.
const MAX_FILE_BYTES: u64 = 5 << 30;

/// An output directory being written. Dropping it before [`finish`](Self::finish) removes what was written.
pub(super) struct OutputDirectory {
    output: PathBuf,
    staging: PathBuf,
    finished: bool,
    /// By tensor name.
    locations: BTreeMap<String, TensorLocation>,
    files: Vec<WeightFile>,
    size_bytes: u64,
}

struct WeightFile {
    name: String,
    file: File,
}

/// The byte range of a tensor, and how much of it has been written.
struct TensorLocation {
    /// Index in `OutputDirectory::files`.
    file: usize,
    offset: u64,
    size: u64,
    written: u64,
}

impl OutputDirectory {
    /// Creates the staging directory. With `force` the output may exist; it is kept until [`finish`](Self::finish).
    pub(super) fn create(output: &Path, force: bool) -> Result<Self, ConvertError> {
        if fs::symlink_metadata(output).is_ok() {
            if !force {
                return Err(ConvertError::OutputExists(output.to_owned()));
            }
            reject_unless_checkpoint(output)?;
        }
        let name = output.file_name().ok_or_else(|| {
            ConvertError::Options(format!(
                "{} has no file name: choose another output",
                output.display()
            ))
        })?;
        let parent = parent_of(output);
        fs::create_dir_all(parent).map_err(ConvertError::write(parent))?;
        let staging = create_staging(parent, name)?;
        Ok(Self {
            output: output.to_owned(),
            staging,
            finished: false,
            locations: BTreeMap::new(),
            files: Vec::new(),
            size_bytes: 0,
        })
    }

    /// Assigns the tensors to weight files and creates the files with their headers.
    pub(super) fn create_weight_files<'a>(
        &mut self,
        tensors: impl Iterator<Item = &'a OutputTensor>,
    ) -> Result<(), ConvertError> {
        self.create_weight_files_with_limit(tensors, MAX_FILE_BYTES)
    }

    fn create_weight_files_with_limit<'a>(
        &mut self,
        tensors: impl Iterator<Item = &'a OutputTensor>,
        limit: u64,
    ) -> Result<(), ConvertError> {
        let tensors: Vec<&OutputTensor> = tensors.collect();
        self.size_bytes = tensors.iter().map(|tensor| tensor.size_bytes()).sum();
        self.check_space()?;
        let mut shards: Vec<Vec<&OutputTensor>> = vec![Vec::new()];
        let mut shard_bytes = 0;
        for tensor in tensors {
            let size = tensor.size_bytes();
            if shard_bytes + size > limit && shard_bytes > 0 {
                shards.push(Vec::new());
                shard_bytes = 0;
            }
            shard_bytes += size;
            if let Some(shard) = shards.last_mut() {
                shard.push(tensor);
            }
        }
        let count = shards.len();
        for (index, shard) in shards.into_iter().enumerate() {
            let name = if count == 1 {
                "model.safetensors".to_owned()
            } else {
                format!("model-{:05}-of-{count:05}.safetensors", index + 1)
            };
            self.create_file(name, shard)?;
        }
        Ok(())
    }

    /// Checks the free space before any work is done.
    fn check_space(&self) -> Result<(), ConvertError> {
        match fs4::available_space(&self.staging) {
            Ok(available) if available < self.size_bytes => Err(ConvertError::DiskFull {
                path: self.output.clone(),
                needed_bytes: self.size_bytes,
            }),
            // Without this information, a full disk is detected by the failing write.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn create_file(
        &mut self,
        name: String,
        mut tensors: Vec<&OutputTensor>,
    ) -> Result<(), ConvertError> {
        // Sorting by the size of the type keeps every tensor aligned to its type.
        tensors.sort_by_key(|tensor| std::cmp::Reverse(bytes_of(tensor.dtype)));
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!({"format": "mlx"}));
        let mut end = 0;
        let mut relative = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let begin = end;
            end += tensor.size_bytes();
            header.insert(
                tensor.name.clone(),
                json!({
                    "dtype": dtype_name(tensor.dtype),
                    "shape": tensor.shape,
                    "data_offsets": [begin, end],
                }),
            );
            relative.push((tensor.name.clone(), begin, end - begin));
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let data_start = 8 + text.len() as u64;
        for (tensor, begin, size) in relative {
            let location = TensorLocation {
                file: self.files.len(),
                offset: data_start + begin,
                size,
                written: 0,
            };
            if self.locations.insert(tensor.clone(), location).is_some() {
                return Err(ConvertError::tensor(
                    &tensor,
                    "two tensors of the source have this name in the output",
                ));
            }
        }
        let path = self.staging.join(&name);
        let mut file = File::create(&path).map_err(ConvertError::write(&path))?;
        let start = (text.len() as u64).to_le_bytes();
        file.write_all(&start)
            .and_then(|()| file.write_all(&text))
            .and_then(|()| file.set_len(data_start + end))
            .map_err(|source| self.write_error(&path, source))?;
        self.files.push(WeightFile { name, file });
        Ok(())
    }

    /// Where the files are until [`finish`](Self::finish).
    pub(super) fn path(&self) -> &Path {
        &self.staging
    }

    /// Bytes of all tensors.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Appends bytes to the tensor `name`.
    pub(super) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), ConvertError> {
        let error = |reason| ConvertError::tensor(name, reason);
        let location = self
            .locations
            .get_mut(name)
            .ok_or_else(|| error("it is not part of the plan"))?;
        if location.written + bytes.len() as u64 > location.size {
            return Err(error("more bytes were produced than fit its shape"));
        }
        let position = location.offset + location.written;
        location.written += bytes.len() as u64;
        let target = &self.files[location.file];
        write_at(&target.file, bytes, position).map_err(|source| {
            let path = self.staging.join(&target.name);
            self.write_error(&path, source)
        })
    }

    /// Writes a file other than the weights.
    pub(super) fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), ConvertError> {
        let path = self.staging.join(name);
        fs::write(&path, bytes).map_err(|source| self.write_error(&path, source))
    }

    /// Writes an indented JSON file.
    pub(super) fn write_json(&self, name: &str, value: &Value) -> Result<(), ConvertError> {
        self.write_file(name, format!("{value:#}\n").as_bytes())
    }

    /// Copies `source` to the file `name`.
    pub(super) fn copy_file(&self, source: &Path, name: &str) -> Result<(), ConvertError> {
        let bytes = fs::read(source).map_err(ConvertError::read(source))?;
        self.write_file(name, &bytes)
    }

    /// Writes the index, flushes the weight files and renames the directory to the output. Returns the number of weight
    /// files.
    pub(super) fn finish(mut self, parameters: u64) -> Result<usize, ConvertError> {
        if let Some((name, _)) = self
            .locations
            .iter()
            .find(|(_, location)| location.written != location.size)
        {
            return Err(ConvertError::tensor(name, "it was not written completely"));
        }
        let weight_map: Map<String, Value> = self
            .locations
            .iter()
            .map(|(name, location)| (name.clone(), json!(self.files[location.file].name)))
            .collect();
        self.write_json(
            "model.safetensors.index.json",
            &json!({
                "metadata": {"total_size": self.size_bytes, "total_parameters": parameters},
                "weight_map": weight_map,
            }),
        )?;
        for weights in &self.files {
            weights.file.sync_all().map_err(|source| {
                let path = self.staging.join(&weights.name);
                self.write_error(&path, source)
            })?;
        }
        let count = self.files.len();
        self.files.clear();
        self.replace()?;
        self.finished = true;
        Ok(count)
    }

    /// Renames the staging directory to the output. An existing output is renamed first and removed afterwards.
    fn replace(&self) -> Result<(), ConvertError> {
        let old = match fs::symlink_metadata(&self.output) {
            Ok(_) => {
                let name = self.output.file_name().unwrap_or_default();
                let old = sibling(parent_of(&self.output), name, "old");
                fs::rename(&self.output, &old).map_err(ConvertError::write(&self.output))?;
                Some(old)
            }
            Err(_) => None,
        };
        if let Err(source) = fs::rename(&self.staging, &self.output) {
            if let Some(old) = &old {
                // If this fails too, the old output remains under its temporary name. The first error is reported.
                let _ = fs::rename(old, &self.output);
            }
            return Err(ConvertError::write(&self.output)(source));
        }
        match old {
            Some(old) if old.is_dir() && !old.is_symlink() => {
                fs::remove_dir_all(&old).map_err(ConvertError::write(&old))
            }
            Some(old) => fs::remove_file(&old).map_err(ConvertError::write(&old)),
            None => Ok(()),
        }
    }

    fn write_error(&self, path: &Path, source: io::Error) -> ConvertError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ConvertError::DiskFull {
                path: path.to_owned(),
                needed_bytes: self.size_bytes,
            },
            _ => ConvertError::write(path)(source),
        }
    }
}

impl Drop for OutputDirectory {
    fn drop(&mut self) {
        if !self.finished {
            self.files.clear();
            // The error that led here is reported; a second one would hide it.
            let _ = fs::remove_dir_all(&self.staging);
        }
    }
}

/// Only an empty directory or a model is replaced, so that a mistyped path does not delete other files.
fn reject_unless_checkpoint(output: &Path) -> Result<(), ConvertError> {
    let is_empty = || fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if output.join("config.json").is_file() || is_empty() {
        Ok(())
    } else {
        Err(ConvertError::Options(format!(
            "{} is not a model directory, so it is not replaced: choose another output",
            output.display()
        )))
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a new hidden sibling of the output. Leftovers of a killed process are skipped.
fn create_staging(parent: &Path, name: &std::ffi::OsStr) -> Result<PathBuf, ConvertError> {
    let mut attempt = 0;
    loop {
        let staging = sibling(parent, name, &format!("partial-{attempt}"));
        match fs::create_dir(&staging) {
            Ok(()) => return Ok(staging),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(ConvertError::write(&staging)(error)),
        }
    }
}

fn sibling(parent: &Path, name: &std::ffi::OsStr, role: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{role}-{}", std::process::id()));
    parent.join(hidden)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.write_all_at(bytes, position)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(position))?;
    file.write_all(bytes)
}

/// The name of the type in a safetensors header.
fn dtype_name(dtype: Dtype) -> Value {
    serde_json::to_value(dtype).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests;
