//! The directory of compiled kernels, which test runs share.

use crate::Error;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// `$MLXM_TEST_CACHE/metal-host`, or the user's cache directory.
fn directory() -> PathBuf {
    if let Some(named) = std::env::var_os("MLXM_TEST_CACHE") {
        return PathBuf::from(named).join("metal-host");
    }
    let home = std::env::home_dir().unwrap_or_else(std::env::temp_dir);
    let caches = if cfg!(target_os = "macos") {
        home.join("Library/Caches")
    } else {
        std::env::var_os("XDG_CACHE_HOME")
            .filter(|directory| !directory.is_empty())
            .map_or_else(|| home.join(".cache"), PathBuf::from)
    };
    caches.join("mlxm-tests/metal-host")
}

/// A file in the directory.
pub struct Entry {
    directory: PathBuf,
    path: PathBuf,
}

impl Entry {
    /// The file with this identity.
    pub fn new(identity: &[&str], extension: &str) -> Self {
        let mut hash = Sha256::new();
        for part in identity {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let name = HEXLOWER.encode(&hash.finalize()[..16]);
        let directory = directory();
        let path = directory.join(format!("{name}.{extension}"));
        Self { directory, path }
    }

    /// Whether the file has been made.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The path of the file. If it does not exist, `make` writes it under another name first, so that parallel processes never
    /// see a part of it.
    pub fn get(self, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
        let Self { directory, path } = self;
        if path.exists() {
            return Ok(path);
        }
        let failed = |source| Error::Cache {
            path: directory.clone(),
            source,
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        let work = tempfile::Builder::new()
            .prefix("building-")
            .tempdir_in(&directory)
            .map_err(failed)?;
        let file = work.path().join("result");
        make(&file)?;
        fs::rename(&file, &path).map_err(failed)?;
        Ok(path)
    }
}

/// The path of the file with this identity, which `make` writes if it does not exist.
pub fn get(
    identity: &[&str],
    extension: &str,
    make: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    Entry::new(identity, extension).get(make)
}
