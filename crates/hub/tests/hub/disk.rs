//! Full and read-only disks.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{
    EventRecorder, REPO, TestEnv, WEIGHTS, assert_complete, files_below, model, pull, request,
};
use mlxm_hub::{CancellationToken, Disk, Hub, HubError, NoProgress, PullRequest};
use mlxm_testhub::TestRepo;

const SIZE: usize = 4_000_000;

/// A disk that reports `stated_bytes` as available but fails after `real_bytes` have been written.
#[derive(Debug)]
struct SmallDisk {
    stated_bytes: u64,
    real_bytes: AtomicU64,
    error_kind: io::ErrorKind,
}

impl SmallDisk {
    fn new(stated_bytes: u64, real_bytes: u64, error_kind: io::ErrorKind) -> Arc<Self> {
        Arc::new(Self {
            stated_bytes,
            real_bytes: AtomicU64::new(real_bytes),
            error_kind,
        })
    }
}

impl Disk for SmallDisk {
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        assert!(path.is_dir(), "{} does not exist yet", path.display());
        Ok(self.stated_bytes)
    }

    fn before_write(&self, _path: &Path, bytes: usize) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(bytes as u64);
        self.real_bytes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map(|_| ())
            .map_err(|_| io::Error::from(self.error_kind))
    }
}

/// A disk whose file system has no symbolic links.
#[derive(Debug)]
struct WithoutSymlinks(io::ErrorKind);

impl Disk for WithoutSymlinks {
    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn before_write(&self, _path: &Path, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    fn symlink(&self, _target: &Path, _link: &Path) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[tokio::test]
async fn cache_without_symlinks_has_the_files_in_the_snapshot() {
    for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported] {
        let env = TestEnv::new();
        // Two files with the same content.
        env.server
            .add(model(REPO, SIZE).file("generation_config.json", r#"{"version":"1.0"}"#));
        let mut config = env.config();
        config.disk = Arc::new(WithoutSymlinks(kind));
        let hub = Hub::new(config).unwrap();
        let pulled = pull(&hub).await.unwrap();
        assert_complete(&pulled.snapshot, SIZE);
        let copy = fs::read_to_string(pulled.snapshot.join("generation_config.json"));
        assert_eq!(copy.unwrap(), r#"{"version":"1.0"}"#);
        assert!(files_below(&env.repo_folder().join("blobs")).is_empty());
        for file in files_below(&pulled.snapshot) {
            assert!(fs::symlink_metadata(file).unwrap().is_file());
        }

        // Nothing is downloaded again.
        let downloads = env.server.content_requests(WEIGHTS).len();
        let again = pull(&hub).await.unwrap();
        assert_complete(&again.snapshot, SIZE);
        assert_eq!(again.bytes_downloaded, 0);
        assert_eq!(env.server.content_requests(WEIGHTS).len(), downloads);

        let listed = hub.local().unwrap();
        let listed = &listed[0];
        assert!(
            listed.complete && listed.size_bytes > SIZE as u64,
            "{listed:?}"
        );
        assert!(listed.last_modified > std::time::SystemTime::UNIX_EPOCH);
        assert_eq!(hub.resolve(REPO).unwrap().path, pulled.snapshot);

        // A new commit, then the removal of the old one.
        env.server.add(newer_model());
        let newer = pull(&hub).await.unwrap();
        assert_ne!(newer.commit, pulled.commit);
        let removed = hub.remove(REPO, Some(&pulled.commit)).unwrap();
        assert!(removed.bytes_freed > SIZE as u64, "{removed:?}");
        assert_complete(&newer.snapshot, SIZE);
        let removed = hub.remove(REPO, None).unwrap();
        assert!(removed.bytes_freed > SIZE as u64, "{removed:?}");
        assert!(!env.repo_folder().exists());
    }
}

#[tokio::test]
async fn files_that_another_revision_links_to_are_copied() {
    let env = TestEnv::with_model(SIZE);
    let pulled = pull(&Hub::new(env.config()).unwrap()).await.unwrap();
    // The same blobs as those of an older commit.
    let older = pulled.snapshot.with_file_name("0".repeat(40));
    fs::rename(&pulled.snapshot, &older).unwrap();
    let mut config = env.config();
    config.disk = Arc::new(WithoutSymlinks(io::ErrorKind::PermissionDenied));
    let copied = pull(&Hub::new(config).unwrap()).await.unwrap();
    assert_complete(&copied.snapshot, SIZE);
    assert_complete(&older, SIZE);
}

fn newer_model() -> TestRepo {
    model(REPO, SIZE).file("chat_template.jinja", "new")
}

#[tokio::test]
async fn pull_fails_before_downloading_if_the_disk_is_too_small() {
    let env = TestEnv::with_model(SIZE);
    let mut config = env.config();
    config.disk = SmallDisk::new(1_000_000, u64::MAX, io::ErrorKind::StorageFull);
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    let HubError::DiskFull {
        needed_bytes: Some(needed),
        available_bytes: Some(1_000_000),
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(*needed > SIZE as u64);
    assert!(error.to_string().contains("1.0 MB available"), "{error}");
    assert!(env.server.content_requests(WEIGHTS).is_empty());
    assert!(env.partials().is_empty());
}

#[tokio::test]
async fn complete_model_needs_no_disk_space() {
    let env = TestEnv::with_model(SIZE);
    pull(&env.hub()).await.unwrap();
    let mut config = env.config();
    config.disk = SmallDisk::new(0, 0, io::ErrorKind::StorageFull);
    pull(&Hub::new(config).unwrap()).await.unwrap();
}

#[tokio::test]
async fn full_disk_keeps_partial_file_and_publishes_nothing() {
    let env = TestEnv::with_model(SIZE);
    let mut config = env.config();
    config.disk = SmallDisk::new(u64::MAX / 2, 2_500_000, io::ErrorKind::StorageFull);
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(
            error,
            HubError::DiskFull {
                needed_bytes: None,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!env.repo_folder().join("snapshots").exists());
    assert!(!env.repo_folder().join("refs").exists());
    assert!(env.hub().resolve("tiny").is_err());

    let kept = fs::metadata(env.partial().unwrap()).unwrap().len();
    assert!(kept > 0 && kept <= 2_500_000, "{kept}");
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(recorder.starts(WEIGHTS), [kept]);
    assert_complete(&pulled.snapshot, SIZE);
}

#[tokio::test]
async fn error_names_a_cache_that_cannot_be_created() {
    let env = TestEnv::with_model(10);
    fs::write(env.home.path().join("hub"), "not a directory").unwrap();
    let error = pull(&env.hub()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::NotWritable { path, .. } if path.starts_with(env.home.path())),
        "{error:?}"
    );
    assert!(error.to_string().contains("HF_HUB_CACHE"), "{error}");
    assert!(env.server.content_requests(WEIGHTS).is_empty());
}

#[tokio::test]
async fn read_only_cache_is_not_writable_error() {
    let env = TestEnv::with_model(10);
    let mut config = env.config();
    config.disk = SmallDisk::new(u64::MAX / 2, 0, io::ErrorKind::ReadOnlyFilesystem);
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(matches!(error, HubError::NotWritable { .. }), "{error:?}");
    assert!(!env.repo_folder().join("snapshots").exists());
}

#[tokio::test]
async fn space_that_other_downloads_need_is_not_used() {
    let env = TestEnv::with_model(1000);
    let mut config = env.config();
    config.disk = SmallDisk::new(100 << 20, u64::MAX, io::ErrorKind::StorageFull);
    let hub = Hub::new(config).unwrap();
    let pull = async |reserved_bytes: u64| {
        let request = PullRequest {
            reserved_bytes,
            ..request()
        };
        hub.pull(&request, &NoProgress, &CancellationToken::new())
            .await
    };
    let error = pull(50 << 20).await.unwrap_err();
    let HubError::DiskFull {
        available_bytes, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(available_bytes, Some(50 << 20));
    pull(0).await.unwrap();
}
