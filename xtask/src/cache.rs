//! The cache directory outside the clone for downloads, toolchains and environments.

use anyhow::{Context, Result, bail};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Environment variable with a directory to use instead of the platform's cache directory.
const OVERRIDE: &str = "MLXM_XTASK_CACHE";

/// The cache directory, created when absent.
pub fn directory() -> Result<PathBuf> {
    let directory = match env::var_os(OVERRIDE).filter(|value| !value.is_empty()) {
        Some(path) => std::path::absolute(path)?,
        None => platform_directory()?.join("mlxm-xtask"),
    };
    fs::create_dir_all(&directory).with_context(|| {
        format!(
            "cannot create the cache directory {}; set {OVERRIDE} to a writable one",
            directory.display()
        )
    })?;
    Ok(directory)
}

fn platform_directory() -> Result<PathBuf> {
    if let Some(path) = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        return Ok(path);
    }
    let Some(home) = env::home_dir() else {
        bail!("no home directory for downloads; set {OVERRIDE} to a writable directory");
    };
    Ok(home.join(if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    }))
}

/// The entry `name`, made by `fill` unless it exists.
///
/// `fill` gets an empty directory that becomes the entry only on success, so an interrupted task never leaves a partial
/// entry. Processes that need the same entry wait for each other.
pub fn entry(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let finished = directory()?.join(name);
    let parent = finished.parent().context("a cache entry has a parent")?;
    fs::create_dir_all(parent)?;
    let _lock = lock(name)?;
    if finished.is_dir() {
        return Ok(finished);
    }
    let partial = with_suffix(&finished, ".partial");
    remove(&partial)?;
    fs::create_dir(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, &finished)?;
    Ok(finished)
}

/// A lock on an entry; other processes wait until it is dropped.
pub fn lock(name: &str) -> Result<File> {
    let path = directory()?.join(format!("{}.lock", name.replace('/', "-")));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes a directory and its content, if it exists.
pub fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
