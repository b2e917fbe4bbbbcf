//! Keeps the names that requests can use up to date: local models, profiles, aliases, and which of them are loaded.
//!
//! One task owns them. It looks at the directories of models every two seconds, and reads models again only if a directory or
//! file has another time or size; changes of profiles and aliases are announced with [`CatalogHandle::refresh`].

mod files;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mlxm_gateway::{LoadSettings, Pool, ServerEvent};
use mlxm_hub::{Hub, LocalModel};
use mlxm_store::aliases::{self, Alias};
use mlxm_store::profiles::{self, Profile};
use mlxm_store::{Store, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::files::ModelFolders;
use super::proxy::{Catalog, ModelDetails, Target};
use super::settings::{MODEL_FOLDERS, SettingsHandle};

/// Time between two looks at the directories.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Local models, profiles and aliases at one time.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All models on this machine, incomplete ones included, by name.
    pub models: Vec<LocalModel>,
    /// All profiles.
    pub profiles: Vec<Profile>,
    /// All aliases.
    pub aliases: Vec<Alias>,
}

impl Snapshot {
    /// The directory of a model that can be loaded.
    pub fn directory(&self, model: &str) -> Option<&Path> {
        let mut usable = self.usable();
        usable.find_map(|(name, path)| (name == model).then_some(path))
    }

    /// The profile with exactly this name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles
            .iter()
            .find(|profile| profile.config.name == name)
    }

    /// The profile of a target.
    pub fn profile_of(&self, target: &Target) -> Option<&Profile> {
        let name = target.profile.as_deref()?;
        self.profile(name)
    }

    /// Names and directories of the models that can be loaded.
    fn usable(&self) -> impl Iterator<Item = (&str, &Path)> {
        let complete = self.models.iter().filter(|model| model.complete);
        complete.filter_map(|model| Some((model.name.as_str(), model.path.as_deref()?)))
    }
}

/// The current names; clones share them.
#[derive(Debug, Clone)]
pub struct CatalogHandle {
    names: watch::Receiver<Arc<Catalog>>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    refresh: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl CatalogHandle {
    /// Reads models, profiles and aliases, and follows their changes until the last handle is dropped.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn start(
        store: Store,
        hub: Arc<Hub>,
        settings: SettingsHandle,
        pool: Pool,
    ) -> Result<Self, StoreError> {
        let (refresh, requests) = mpsc::unbounded_channel();
        let (names, current_names) = watch::channel(Arc::default());
        let (snapshot, current_snapshot) = watch::channel(Arc::default());
        let (describe, paths) = mpsc::unbounded_channel();
        let (described, descriptions) = mpsc::unbounded_channel();
        tokio::spawn(describe_models(pool.clone(), paths, described));
        let folders = ModelFolders::new(hub, &settings.get(&MODEL_FOLDERS));
        let mut watcher = Watcher {
            store,
            settings,
            pool,
            folders,
            fingerprint: 0,
            details: BTreeMap::new(),
            requested: BTreeMap::new(),
            describe,
            snapshot,
            names,
        };
        watcher.reload().await?;
        tokio::spawn(watcher.run(requests, descriptions));
        Ok(Self {
            names: current_names,
            snapshot: current_snapshot,
            refresh,
        })
    }

    /// The names that requests can use.
    pub fn names(&self) -> Arc<Catalog> {
        self.names.borrow().clone()
    }

    /// What the names are made from.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// The names, with notifications of changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.names.clone()
    }

    /// What the names are made from, with notifications of changes.
    pub fn subscribe_snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Reads everything again; returns when the result can be seen.
    pub async fn refresh(&self) {
        let (done, refreshed) = oneshot::channel();
        if self.refresh.send(done).is_ok() {
            // Fails only if the gateway exits.
            let _ = refreshed.await;
        }
    }
}

/// A model directory, and what its files say.
type Described = (PathBuf, Option<ModelDetails>);

/// Describes models one after the other: it takes a child process for each, and no request waits for it.
async fn describe_models(
    pool: Pool,
    mut paths: mpsc::UnboundedReceiver<PathBuf>,
    described: mpsc::UnboundedSender<Described>,
) {
    while let Some(path) = paths.recv().await {
        let details = details_of(&pool, &path).await;
        if described.send((path, details)).is_err() {
            return;
        }
    }
}

/// What the files of a model say; `None` if it cannot be described.
pub async fn details_of(pool: &Pool, path: &Path) -> Option<ModelDetails> {
    match pool.describe(&LoadSettings::new(path)).await {
        Ok(description) => names::details(&description),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "a model cannot be described");
            None
        }
    }
}

struct Watcher {
    store: Store,
    settings: SettingsHandle,
    pool: Pool,
    folders: ModelFolders,
    /// Of the directories, when they were read the last time.
    fingerprint: u64,
    /// By model directory.
    details: BTreeMap<PathBuf, ModelDetails>,
    /// The time of the files of each model that was described or is going to be.
    requested: BTreeMap<PathBuf, SystemTime>,
    describe: mpsc::UnboundedSender<PathBuf>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    names: watch::Sender<Arc<Catalog>>,
}

impl Watcher {
    async fn run(
        mut self,
        mut requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
        mut descriptions: mpsc::UnboundedReceiver<Described>,
    ) {
        let mut events = self.pool.events();
        let mut settings = self.settings.subscribe();
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = requests.recv() => {
                    let Some(done) = request else {
                        return;
                    };
                    // Requests that arrived during the last reading share one.
                    let mut waiting = vec![done];
                    while let Ok(done) = requests.try_recv() {
                        waiting.push(done);
                    }
                    self.reload_or_warn().await;
                    for done in waiting {
                        // The request may have been cancelled.
                        let _ = done.send(());
                    }
                }
                _ = poll.tick() => {
                    if self.folders.fingerprint().await != self.fingerprint {
                        self.reload_or_warn().await;
                    }
                }
                Ok(()) = settings.changed() => {
                    let configured = self.settings.get(&MODEL_FOLDERS);
                    if self.folders.configure(&configured) {
                        self.reload_or_warn().await;
                    }
                }
                Some((path, details)) = descriptions.recv() => {
                    match details {
                        Some(details) => self.details.insert(path, details),
                        None => self.details.remove(&path),
                    };
                    self.publish_names().await;
                }
                changed = changes_names(&mut events) => {
                    if changed {
                        self.publish_names().await;
                    }
                }
            }
        }
    }

    async fn reload_or_warn(&mut self) {
        if let Err(error) = self.reload().await {
            tracing::warn!(%error, "profiles and aliases cannot be read: the earlier ones are used");
        }
    }

    async fn reload(&mut self) -> Result<(), StoreError> {
        // Before the files are read: a change in between is seen by the next look.
        let fingerprint = self.folders.fingerprint().await;
        let snapshot = Snapshot {
            models: self.folders.models().await,
            profiles: profiles::list(&self.store).await?,
            aliases: aliases::list(&self.store).await?,
        };
        for model in snapshot.models.iter().filter(|model| model.complete) {
            if let Some(path) = &model.path {
                let known = self.requested.insert(path.clone(), model.last_modified);
                if known != Some(model.last_modified) {
                    // Fails only if the gateway exits.
                    let _ = self.describe.send(path.clone());
                }
            }
        }
        self.snapshot.send_replace(Arc::new(snapshot));
        self.fingerprint = fingerprint;
        self.publish_names().await;
        Ok(())
    }

    async fn publish_names(&self) {
        // Without the pool, the gateway exits.
        let servers = self.pool.servers().await;
        let servers = servers.map_or_else(|_| Vec::new(), |status| status.servers);
        let snapshot = self.snapshot.borrow().clone();
        let catalog = names::catalog(&snapshot, &self.details, &servers);
        self.names.send_replace(Arc::new(catalog));
    }
}

/// Waits for an event of a worker; returns whether it may change what is loaded.
async fn changes_names(events: &mut broadcast::Receiver<ServerEvent>) -> bool {
    match events.recv().await {
        Ok(ServerEvent::Changed(_) | ServerEvent::Exited { .. }) | Err(RecvError::Lagged(_)) => {
            true
        }
        Ok(ServerEvent::Loading { .. } | ServerEvent::Leases { .. }) => false,
        // The pool has exited.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}
