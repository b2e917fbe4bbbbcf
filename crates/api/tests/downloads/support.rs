//! A machine with a hub, and a queue on it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlxm_api::gateway::downloads::{Queue, QueueOptions, RetryTimes};
use mlxm_api::gateway::events::{Bus, Reader, parse_topics};
use mlxm_api::gateway::settings::SettingsHandle;
use mlxm_api::wire::downloads::{Download, DownloadRequest, DownloadState};
use mlxm_api::wire::events::Event;
use mlxm_hub::{Disk, Hub, HubConfig};
use mlxm_store::gateways::{self, NewGateway};
use mlxm_store::{Location, OpenOptions, Store, Uuid};
use mlxm_testhub::{TestHub, TestRepo};
use tempfile::TempDir;

use crate::wait::wait_for;

pub const REPO: &str = "org/tiny-4bit";
pub const WEIGHTS: &str = "model.safetensors";
pub const SIZE: usize = 400_000;
/// The id of the gateway, the same after a restart.
const GATEWAY: Uuid = Uuid::from_u128(1);
/// Longest wait for anything.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A disk whose free space is set.
#[derive(Debug)]
pub struct TestDisk(AtomicU64);

impl TestDisk {
    pub fn set_available(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }
}

impl Disk for TestDisk {
    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    fn before_write(&self, _path: &Path, _bytes: usize) -> io::Result<()> {
        Ok(())
    }
}

pub struct Machine {
    pub server: TestHub,
    pub disk: Arc<TestDisk>,
    /// The weights of every model.
    pub content: Vec<u8>,
    home: TempDir,
}

/// A running queue.
pub struct Gateway {
    pub queue: Queue,
    bus: Bus,
    store: Store,
}

pub fn request(repo: &str) -> DownloadRequest {
    DownloadRequest {
        repo_id: repo.to_owned(),
        revision: None,
        files: Vec::new(),
    }
}

impl Machine {
    pub fn new() -> Self {
        let machine = Self {
            server: TestHub::start(),
            disk: Arc::new(TestDisk(AtomicU64::new(u64::MAX))),
            content: (0..SIZE).map(|index| (index * 31 % 251) as u8).collect(),
            home: tempfile::tempdir().unwrap(),
        };
        machine.add(REPO);
        machine
    }

    pub fn add(&self, repo: &str) {
        // Models with equal files would share them only within one repository.
        self.server.add(
            TestRepo::new(repo)
                .file("config.json", r#"{"model_type":"llama"}"#)
                .file("tokenizer.json", "{}")
                .large_file(WEIGHTS, self.content.clone()),
        );
    }

    /// Several seconds for each model.
    pub fn slow(&self) {
        self.server.throttle(4_000, Duration::from_millis(30));
    }

    pub async fn start(&self) -> Gateway {
        self.start_with_endpoint(self.server.endpoint()).await
    }

    pub async fn start_with_endpoint(&self, endpoint: &str) -> Gateway {
        let home = self.home.path();
        let location = Location::new(None, home).unwrap();
        let store = Store::open(&OpenOptions::new(location, home))
            .await
            .unwrap();
        let gateway = NewGateway {
            id: Some(GATEWAY),
            host: "test".to_owned(),
            address: "http://127.0.0.1:1".to_owned(),
            version: "0".to_owned(),
            pid: 1,
        };
        gateways::register(&store, gateway).await.unwrap();
        let bus = Bus::new();
        let settings = SettingsHandle::load(&store, BTreeMap::new(), BTreeMap::new()).await;
        let queue = Queue::start(QueueOptions {
            store: store.clone(),
            gateway_id: GATEWAY,
            hub: Arc::new(Hub::new(self.config(endpoint)).unwrap()),
            bus: bus.clone(),
            settings: settings.unwrap(),
            retry: RetryTimes {
                first: Duration::from_millis(20),
                longest: Duration::from_millis(100),
                disk: Duration::from_millis(50),
            },
        });
        Gateway {
            queue: queue.await.unwrap(),
            bus,
            store,
        }
    }

    fn config(&self, endpoint: &str) -> HubConfig {
        let mut config = HubConfig::new(self.cache(), self.home.path().join("models"));
        config.endpoint = Some(endpoint.to_owned());
        config.read_timeout = Duration::from_secs(1);
        config.retry.max_attempts = 2;
        config.retry.initial_backoff = Duration::from_millis(1);
        config.retry.max_backoff = Duration::from_millis(50);
        config.disk = self.disk.clone();
        config
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub")
    }

    /// The downloaded weights of [`REPO`].
    pub fn weights(&self) -> Vec<u8> {
        let hub = Hub::new(self.config(self.server.endpoint())).unwrap();
        std::fs::read(hub.resolve(REPO).unwrap().path.join(WEIGHTS)).unwrap()
    }

    /// Bytes in partial files of [`REPO`].
    pub fn partial_bytes(&self) -> u64 {
        let blobs = self.cache().join("models--org--tiny-4bit/blobs");
        let files = std::fs::read_dir(blobs).into_iter().flatten().flatten();
        files
            .filter(|file| {
                file.path()
                    .extension()
                    .is_some_and(|end| end == "incomplete")
            })
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }
}

impl Gateway {
    pub async fn stop(self) {
        self.queue.shutdown().await;
        self.store.close().await;
    }

    pub fn events(&self) -> Events {
        let topics = parse_topics("downloads").unwrap();
        Events(self.bus.subscribe(topics, None))
    }

    pub async fn wait(&self, id: Uuid, state: DownloadState) -> Download {
        self.wait_until(id, |download| download.state == state)
            .await
    }

    /// Waits until a part of the weights is there.
    pub async fn wait_for_bytes(&self, id: Uuid) {
        let has_part = |download: &Download| {
            download.state == DownloadState::Running && download.done_bytes > 20_000
        };
        self.wait_until(id, has_part).await;
    }

    async fn wait_until(&self, id: Uuid, is_there: impl Fn(&Download) -> bool) -> Download {
        wait_for(async || {
            let downloads = self.queue.list().await.unwrap();
            let download = downloads.into_iter().find(|download| download.id == id);
            download.filter(&is_there)
        })
        .await
    }
}

pub struct Events(Reader);

impl Events {
    pub async fn next(&mut self) -> Event {
        let message = tokio::time::timeout(TIMEOUT, self.0.next()).await;
        serde_json::from_str(&message.unwrap().unwrap().data).unwrap()
    }
}
