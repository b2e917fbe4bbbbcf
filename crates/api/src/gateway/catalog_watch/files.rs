//! The directories with models: the hub's cache, the local models directory, and configured folders.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlxm_hub::{Hub, HubConfig, HubError, LocalModel};

/// Levels of directories that are looked at: in the hub's cache, files are in `models--org--name/snapshots/commit`.
const MAX_DEPTH: usize = 4;

/// Entries that are looked at. A symbolic link to a directory of something else, or to one above, leads to any number.
const MAX_ENTRIES: usize = 50_000;

/// Directories of the hub's cache without files of models: those of downloads that are not complete change all the time.
const SKIPPED: [&str; 2] = ["blobs", ".locks"];

/// The directories with models.
#[derive(Debug, Clone)]
pub struct ModelFolders {
    hub: Arc<Hub>,
    configured: Vec<String>,
}

impl ModelFolders {
    /// The directories of the hub, and the configured ones. A configured one has the form of either.
    pub fn new(hub: Arc<Hub>, configured: &[String]) -> Self {
        Self {
            hub,
            configured: configured.to_vec(),
        }
    }

    /// Replaces the configured directories; returns whether they are others.
    pub fn configure(&mut self, configured: &[String]) -> bool {
        let changed = self.configured != configured;
        self.configured = configured.to_vec();
        changed
    }

    /// All models, by name. Of models with the same name, that of the first directory counts. Directories that cannot be read
    /// are left out with a warning.
    pub async fn models(&self) -> Vec<LocalModel> {
        let folders = self.clone();
        let models = tokio::task::spawn_blocking(move || folders.read()).await;
        models.unwrap_or_default()
    }

    /// A number that changes when models are added, removed or changed.
    pub async fn fingerprint(&self) -> u64 {
        let mut roots = vec![
            self.hub.config().cache_dir.clone(),
            self.hub.config().models_dir.clone(),
        ];
        roots.extend(self.configured.iter().map(PathBuf::from));
        let fingerprint = tokio::task::spawn_blocking(move || {
            let mut hasher = DefaultHasher::new();
            let mut left = MAX_ENTRIES;
            for root in &roots {
                hash_directory(root, MAX_DEPTH, &mut left, &mut hasher);
            }
            hasher.finish()
        });
        fingerprint.await.unwrap_or_default()
    }

    fn read(&self) -> Vec<LocalModel> {
        let mut models = warned(self.hub.local(), &self.hub.config().models_dir);
        for folder in &self.configured {
            let local = Hub::new(HubConfig::new(folder, folder)).and_then(|hub| hub.local());
            models.extend(warned(local, Path::new(folder)));
        }
        let mut names = BTreeSet::new();
        models.retain(|model| names.insert(model.name.clone()));
        models.sort_by_key(|model| model.name.to_lowercase());
        models
    }
}

fn warned(models: Result<Vec<LocalModel>, HubError>, folder: &Path) -> Vec<LocalModel> {
    models.unwrap_or_else(|error| {
        tracing::warn!(folder = %folder.display(), %error, "models cannot be listed");
        Vec::new()
    })
}

/// Adds names, times and sizes below a directory, of `left` entries at most. Anything that cannot be read counts as missing.
fn hash_directory(directory: &Path, depth: usize, left: &mut usize, hasher: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().take(*left).collect();
    *left -= entries.len();
    // The system returns them in any order.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        name.hash(hasher);
        // Follows the links to the files in the hub's cache.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        if metadata.is_dir() {
            if depth > 1 {
                hash_directory(&entry.path(), depth - 1, left, hasher);
            }
        } else {
            metadata.len().hash(hasher);
            metadata.modified().ok().hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(root: &Path) -> ModelFolders {
        let hub = Hub::new(HubConfig::new(root.join("cache"), root.join("models"))).unwrap();
        ModelFolders::new(Arc::new(hub), &[root.join("more").display().to_string()])
    }

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[tokio::test]
    async fn fingerprint_changes_with_files_of_models_only() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let mut last = folders.fingerprint().await;
        for file in [
            "models/a/config.json",
            "models/org/b/config.json",
            "more/c/config.json",
            "cache/models--org--d/snapshots/1/config.json",
        ] {
            write(&root.path().join(file), "{}");
            let next = folders.fingerprint().await;
            assert_ne!(next, last, "{file}");
            write(&root.path().join(file), "{\"longer\": 1}");
            last = folders.fingerprint().await;
            assert_ne!(next, last, "{file}");
        }
        write(&root.path().join("cache/models--org--d/blobs/x"), "x");
        let with_directory = folders.fingerprint().await;
        write(&root.path().join("cache/models--org--d/blobs/x"), "xy");
        assert_eq!(folders.fingerprint().await, with_directory);
        fs::remove_dir_all(root.path().join("more/c")).unwrap();
        assert_ne!(folders.fingerprint().await, with_directory);
    }

    #[tokio::test]
    async fn models_of_all_directories_are_listed_once() {
        let root = tempfile::tempdir().unwrap();
        for model in ["models/a", "more/b", "more/A2", "more/a"] {
            write(&root.path().join(model).join("config.json"), "{}");
            write(&root.path().join(model).join("model.safetensors"), "x");
        }
        let models = folders(root.path()).models().await;
        let found: Vec<(&str, &Path)> = models
            .iter()
            .map(|model| (model.name.as_str(), model.path.as_deref().unwrap()))
            .collect();
        let at = |path: &str| root.path().join(path);
        let (a, a2, b) = (at("models/a"), at("more/A2"), at("more/b"));
        assert_eq!(
            found,
            [("a", a.as_path()), ("A2", a2.as_path()), ("b", b.as_path())]
        );
    }
}
