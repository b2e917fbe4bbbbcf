//! The cache layout of `huggingface_hub`:
//!
//! ```text
//! models--org--name/
//!   blobs/<etag>               file content, named by its digest
//!   blobs/<etag>.incomplete    partial download
//!   snapshots/<commit>/<file>  relative links to blobs, or the files themselves where links cannot be created
//!   refs/<revision>            file that contains the commit hash
//!   .no_exist/<commit>/<file>  files known not to exist
//! .locks/models--org--name/<etag>.lock
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::Disk;
use crate::error::HubError;
use crate::files;
use crate::repo_id::RepoId;

/// Whether other files of a snapshot have the content of a blob, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobUse {
    /// The blob is still needed.
    Shared,
    /// This is the only or last file.
    Last,
}

/// A ref has one commit hash.
const MAX_REF_BYTES: u64 = 4096;

/// The paths of one repository in a cache.
#[derive(Debug, Clone)]
pub(crate) struct RepoFolder {
    pub root: PathBuf,
    locks: PathBuf,
}

impl RepoFolder {
    pub fn new(cache_dir: &Path, repo: &RepoId) -> Self {
        let name = repo.folder_name();
        Self {
            root: cache_dir.join(&name),
            locks: cache_dir.join(".locks").join(name),
        }
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.blobs().join(etag)
    }

    pub fn partial(&self, etag: &str) -> PathBuf {
        self.blobs().join(format!("{etag}.incomplete"))
    }

    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.snapshots().join(commit)
    }

    pub fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    pub fn no_exist(&self, commit: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit)
    }

    pub fn locks(&self) -> &Path {
        &self.locks
    }

    pub fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// All refs and their commits.
    pub fn read_refs(&self) -> BTreeMap<String, String> {
        let root = self.refs();
        walk(&root)
            .into_iter()
            .filter_map(|path| {
                let name =
                    relative_name(&root, &path).filter(|name| !name.contains(TEMPORARY_MARKER))?;
                let content = files::read(&path, MAX_REF_BYTES).ok()?;
                Some((name, String::from_utf8(content).ok()?.trim().to_owned()))
            })
            .collect()
    }

    /// Creates or replaces the relative symlink `snapshots/<commit>/<file>` to a blob. If the file system has no symlinks, the
    /// blob itself is moved there, or copied if it is shared.
    pub fn link(
        &self,
        disk: &dyn Disk,
        commit: &str,
        file: &str,
        etag: &str,
        blob_use: BlobUse,
    ) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(file);
        let depth = Path::new(file).components().count();
        let mut target: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
        target.push("blobs");
        target.push(etag);
        if fs::read_link(&pointer).is_ok_and(|present| present == target) {
            return Ok(());
        }
        let blob = self.blob(etag);
        if is_regular_file(&pointer) && !blob.exists() {
            return Ok(());
        }
        let parent = pointer.parent().unwrap_or(&pointer);
        create_dir(parent)?;
        // Renaming a temporary link replaces the old one atomically.
        let fresh = parent.join(temporary_name());
        let outcome = match disk.symlink(&target, &fresh) {
            Ok(()) => fs::rename(&fresh, &pointer),
            Err(error) if lacks_symlinks(&error) && blob_use == BlobUse::Last => {
                fs::rename(&blob, &pointer)
            }
            Err(error) if lacks_symlinks(&error) => {
                fs::copy(&blob, &fresh).and_then(|_| fs::rename(&fresh, &pointer))
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        outcome.map_err(|error| HubError::io("create", &pointer, &error))
    }

    /// Writes the commit to `refs/<revision>`.
    pub fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.refs().join(revision);
        if fs::read_to_string(&path).is_ok_and(|present| present == commit) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&path);
        create_dir(parent)?;
        let fresh = parent.join(temporary_name());
        let outcome = fs::write(&fresh, commit).and_then(|()| fs::rename(&fresh, &path));
        if outcome.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        outcome.map_err(|error| HubError::io("write", &path, &error))
    }
}

/// Marks temporary file names. Contains `~`, which is not valid in git refs.
const TEMPORARY_MARKER: &str = "~mlxm~";

fn temporary_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!(
        ".{TEMPORARY_MARKER}{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Whether the file system may have no symlinks. Without write permission, moving or copying the file fails in the same way.
fn lacks_symlinks(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported
    )
}

/// Whether the path is a file, and not a symlink to one.
fn is_regular_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Whether a part of a relative name begins with a dot. Such files are not part of a model: AppleDouble files (`._NAME`) that
/// macOS writes on foreign file systems, and `.cache/huggingface` of downloads into a directory.
pub(crate) fn is_hidden(relative: &str) -> bool {
    relative.split('/').any(|part| part.starts_with('.'))
}

pub(crate) fn create_dir(path: &Path) -> Result<(), HubError> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        // A file exists in place of the directory.
        std::io::ErrorKind::AlreadyExists => HubError::NotWritable {
            path: path.to_owned(),
            reason: "a file with this name already exists".to_owned(),
        },
        _ => HubError::io("create", path, &error),
    })
}

/// Whether a path from a server or a caller stays inside the directory it is joined to.
pub(crate) fn is_safe_relative_path(relative: &str) -> bool {
    !relative.is_empty()
        && !relative.contains('\\')
        && !relative.contains('\0')
        && Path::new(relative)
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

/// All files and symlinks below `root`, in arbitrary order. Unreadable directories are skipped.
pub(crate) fn walk(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files
}

/// `path` relative to `root`, with `/` as the separator.
pub(crate) fn relative_name(root: &Path, path: &Path) -> Option<String> {
    let parts: Vec<_> = path
        .strip_prefix(root)
        .ok()?
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    #[test]
    fn link_creates_a_relative_symlink_to_the_blob() {
        let cache = tempfile::tempdir().unwrap();
        let folder = RepoFolder::new(cache.path(), &"org/name".parse().unwrap());
        create_dir(&folder.blobs()).unwrap();
        fs::write(folder.blob("abc"), "content").unwrap();
        for file in ["config.json", "a/b/c.json"] {
            let disk = SystemDisk;
            folder
                .link(&disk, "commit", file, "abc", BlobUse::Shared)
                .unwrap();
            let pointer = folder.snapshot("commit").join(file);
            assert!(fs::read_link(&pointer).unwrap().is_relative());
            assert_eq!(fs::read_to_string(pointer).unwrap(), "content");
        }
        fs::write(folder.blob("def"), "changed").unwrap();
        folder
            .link(&SystemDisk, "commit", "config.json", "def", BlobUse::Last)
            .unwrap();
        assert_eq!(
            fs::read_to_string(folder.snapshot("commit").join("config.json")).unwrap(),
            "changed"
        );
    }

    #[test]
    fn read_refs_returns_refs_with_slashes() {
        let cache = tempfile::tempdir().unwrap();
        let folder = RepoFolder::new(cache.path(), &"org/name".parse().unwrap());
        folder.write_ref("main", "c1").unwrap();
        folder.write_ref("refs/pr/1", "c2").unwrap();
        let refs = folder.read_refs();
        assert_eq!(refs["main"], "c1");
        assert_eq!(refs["refs/pr/1"], "c2");
        assert_eq!(refs.len(), 2);
    }

    #[test]
    fn is_safe_relative_path_rejects_paths_outside_the_directory() {
        assert!(is_safe_relative_path("a/b.json"));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "./a"] {
            assert!(!is_safe_relative_path(bad), "{bad}");
        }
    }
}
