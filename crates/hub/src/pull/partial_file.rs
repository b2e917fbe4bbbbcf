//! A partial download and the running digest of its content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::lock::BlobLock;
use crate::disk::Disk;
use crate::error::HubError;
use crate::info::Digest;

const READ_BUFFER_BYTES: usize = 1 << 20;

/// A partial download at `<etag>.incomplete`. Owns the lock of the blob, so that a write that outlives a dropped pull
/// cannot conflict with another process.
#[derive(Debug)]
pub(super) struct PartialFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    expected: Digest,
    hasher: Hasher,
    position_bytes: u64,
    disk: Arc<dyn Disk>,
    lock: BlobLock,
}

impl PartialFile {
    /// Opens an existing partial download or creates a new one.
    pub fn open(
        path: PathBuf,
        size_bytes: u64,
        expected: Digest,
        disk: Arc<dyn Disk>,
        lock: BlobLock,
    ) -> Result<Self, HubError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| HubError::io("open", &path, &error))?;
        let hasher = Hasher::new(&expected, size_bytes);
        let mut partial = Self {
            path,
            file,
            size_bytes,
            expected,
            hasher,
            position_bytes: 0,
            disk,
            lock,
        };
        partial
            .hash_existing()
            .map_err(|error| HubError::io("read", &partial.path, &error))?;
        if partial.position_bytes > size_bytes {
            partial.reset()?;
        }
        Ok(partial)
    }

    fn hash_existing(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        loop {
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
            self.position_bytes += count as u64;
        }
    }

    pub fn position_bytes(&self) -> u64 {
        self.position_bytes
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let outcome = self
            .disk
            .before_write(&self.path, bytes.len())
            .and_then(|()| self.file.write_all(bytes));
        if let Err(error) = outcome {
            // Discard a partial write, which is not part of the digest.
            let _ = self.file.set_len(self.position_bytes);
            let _ = self.file.seek(SeekFrom::Start(self.position_bytes));
            return Err(HubError::io("write", &self.path, &error));
        }
        self.hasher.update(bytes);
        self.position_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Discards all received bytes.
    pub fn reset(&mut self) -> Result<(), HubError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| HubError::io("truncate", &self.path, &error))?;
        self.hasher = Hasher::new(&self.expected, self.size_bytes);
        self.position_bytes = 0;
        Ok(())
    }

    /// The actual digest of the complete file if it differs from the expected one.
    pub fn digest_mismatch(&mut self) -> Result<Option<String>, HubError> {
        if !self.lock.is_exclusive() {
            self.hasher = Hasher::new(&self.expected, self.size_bytes);
            self.position_bytes = 0;
            self.file
                .seek(SeekFrom::Start(0))
                .and_then(|_| self.hash_existing())
                .map_err(|error| HubError::io("read", &self.path, &error))?;
        }
        let actual = self.hasher.clone().finish();
        Ok(actual.filter(|actual| actual != self.expected.as_str()))
    }

    /// Syncs the verified file to disk and renames it to its final name.
    pub fn publish(&mut self, blob: &Path) -> Result<(), HubError> {
        self.file
            .sync_all()
            .map_err(|error| HubError::io("write", &self.path, &error))?;
        fs::rename(&self.path, blob).map_err(|error| HubError::io("create", blob, &error))?;
        let folder = blob.parent().unwrap_or(blob);
        // Sync the directory so that the rename survives a power loss.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| HubError::io("write", folder, &error))
    }
}

/// Computes the digest of a content.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitSha1(Sha1),
    /// The etag is not a digest; only the size can be verified.
    None,
}

impl Hasher {
    pub(crate) fn new(expected: &Digest, size_bytes: u64) -> Self {
        match expected {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::GitSha1(_) => {
                Self::GitSha1(Sha1::new_with_prefix(format!("blob {size_bytes}\0")))
            }
            Digest::Opaque(_) => Self::None,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitSha1(hasher) => hasher.update(bytes),
            Self::None => {}
        }
    }

    pub(crate) fn finish(self) -> Option<String> {
        match self {
            Self::Sha256(hasher) => Some(HEXLOWER.encode(&hasher.finalize())),
            Self::GitSha1(hasher) => Some(HEXLOWER.encode(&hasher.finalize())),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    async fn open(folder: &Path, size_bytes: u64, expected: Digest) -> PartialFile {
        let cancel = tokio_util::sync::CancellationToken::new();
        let lock = BlobLock::acquire(&folder.join("lock"), &cancel, || {})
            .await
            .unwrap();
        PartialFile::open(
            folder.join("x.incomplete"),
            size_bytes,
            expected,
            Arc::new(SystemDisk),
            lock,
        )
        .unwrap()
    }

    // `git hash-object` and `sha256sum` of "hello\n".
    const GIT_SHA1: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    #[tokio::test]
    async fn digest_includes_existing_bytes_after_reopening() {
        for expected in [
            Digest::GitSha1(GIT_SHA1.to_owned()),
            Digest::Sha256(SHA256.to_owned()),
        ] {
            let folder = tempfile::tempdir().unwrap();
            open(folder.path(), 6, expected.clone())
                .await
                .append(b"hel")
                .unwrap();
            let mut partial = open(folder.path(), 6, expected).await;
            assert_eq!(partial.position_bytes(), 3);
            assert!(partial.digest_mismatch().unwrap().is_some());
            partial.append(b"lo\n").unwrap();
            assert_eq!(partial.position_bytes(), 6);
            assert_eq!(partial.digest_mismatch().unwrap(), None);
        }
    }

    #[tokio::test]
    async fn open_resets_a_partial_file_that_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.incomplete"), "much too long").unwrap();
        let partial = open(folder.path(), 6, Digest::Sha256(SHA256.to_owned())).await;
        assert_eq!(partial.position_bytes(), 0);
        assert_eq!(
            fs::metadata(folder.path().join("x.incomplete"))
                .unwrap()
                .len(),
            0
        );
    }

    #[tokio::test]
    async fn digest_mismatch_rereads_the_file_without_an_exclusive_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.incomplete");
        let lock = BlobLock::unsupported(&folder.path().join("lock"));
        let expected = Digest::Sha256(SHA256.to_owned());
        let disk = Arc::new(SystemDisk);
        let mut partial = PartialFile::open(path.clone(), 6, expected, disk, lock).unwrap();
        partial.append(b"hello\n").unwrap();
        assert_eq!(partial.digest_mismatch().unwrap(), None);
        // Another process overwrites the file.
        fs::write(path, "\0\0\0lo\n").unwrap();
        assert!(partial.digest_mismatch().unwrap().is_some());
    }
}
