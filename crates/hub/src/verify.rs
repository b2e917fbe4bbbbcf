//! Finds damaged files of local models.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::HubError;
use crate::info::Digest;
use crate::layout::{is_hidden, relative_name, walk};
use crate::local::{LocalModel, WEIGHTS_EXTENSION};
use crate::pull::Hasher;

const BUFFER_BYTES: usize = 1 << 20;
/// Headers of weights are smaller.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Name of the model.
    pub name: String,
    /// Bytes whose content was compared.
    pub checked_bytes: u64,
    /// Files that are missing or have other content.
    pub damaged_files: Vec<String>,
}

impl LocalModel {
    /// Checks whether the files in the directory that is loaded have the content that was downloaded. Reads all of them, without
    /// the network: in the cache, the name of a file is the digest of its content. Blocks.
    ///
    /// # Errors
    /// [`HubError::Io`] if a file cannot be read.
    pub fn verify(&self) -> Result<Verified, HubError> {
        let mut verified = Verified {
            name: self.name.clone(),
            checked_bytes: 0,
            damaged_files: self.missing_files.clone(),
        };
        let Some(folder) = &self.path else {
            return Ok(verified);
        };
        for path in walk(folder) {
            let Some(name) = relative_name(folder, &path).filter(|name| !is_hidden(name)) else {
                continue;
            };
            if verified.damaged_files.contains(&name) {
                continue;
            }
            match check(&path, &name) {
                Ok(Some(bytes)) => verified.checked_bytes += bytes,
                Ok(None) => verified.damaged_files.push(name),
                Err(error) => return Err(HubError::io("read", &path, &error)),
            }
        }
        verified.damaged_files.sort();
        Ok(verified)
    }
}

/// The number of bytes that were compared; `None` if the content is another one. The name of a blob in the cache is the digest of
/// its content. Without one, only the length of weights is known, from their header.
fn check(path: &Path, name: &str) -> io::Result<Option<u64>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        // Not what was downloaded; a link to a directory is not part of the model.
        return Ok(metadata.is_dir().then_some(0));
    }
    let size_bytes = metadata.len();
    let blob = fs::canonicalize(path)?;
    let is_link = fs::symlink_metadata(path)?.is_symlink();
    let digest = blob
        .file_name()
        .and_then(|blob| Digest::from_etag(blob.to_str()?))
        .filter(|digest| is_link && !matches!(digest, Digest::Opaque(_)));
    if let Some(expected) = digest {
        let is_same = digest_of(path, &expected, size_bytes)?.as_deref() == Some(expected.as_str());
        return Ok(is_same.then_some(size_bytes));
    }
    let is_whole = !name.ends_with(WEIGHTS_EXTENSION) || weights_bytes(path)? == Some(size_bytes);
    Ok(is_whole.then_some(0))
}

fn digest_of(path: &Path, expected: &Digest, size_bytes: u64) -> io::Result<Option<String>> {
    let mut hasher = Hasher::new(expected, size_bytes);
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}

/// The length that a file of weights has according to its header; `None` if that is not valid.
fn weights_bytes(path: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Ok(None);
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let Ok(serde_json::Value::Object(tensors)) = serde_json::from_slice(&header) else {
        return Ok(None);
    };
    let ends = tensors
        .values()
        .filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    Ok((8 + length).checked_add(ends.max().unwrap_or_default()))
}
