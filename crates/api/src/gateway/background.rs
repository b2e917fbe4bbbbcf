//! Tasks that run as long as the gateway does: heartbeat, retention, changed settings, memory pressure, preloads.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mlxm_gateway::{Pool, remove_old_logs};
use mlxm_machine::MemoryLimits;
use mlxm_store::profiles::Profile;
use mlxm_store::{Store, Uuid, gateways, now_ms, requests};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::audit::DatabaseHealth;
use super::catalog_watch::CatalogHandle;
use super::events::Bus;
use super::memory_pressure::relieve_memory_pressure;
use super::proxy::Target;
use super::settings::{
    AUDIT_RETENTION_DAYS, LOG_RETENTION_DAYS, MEMORY_BUDGET_BYTES, PRELOAD, SettingsHandle,
};
use super::workers::pool_target;

/// Time between two heartbeats, which also show whether the database accepts writes.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Time between two deletions of old rows and logs, unless a setting changes.
const RETENTION_INTERVAL: Duration = DAY;

/// Rows that are deleted in a transaction.
const RETENTION_BATCH: NonZeroU64 = NonZeroU64::new(1000).unwrap();

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DAY: Duration = Duration::from_hours(24);

/// What the tasks need.
#[derive(Clone)]
pub struct Background {
    /// The database.
    pub store: Store,
    /// This gateway.
    pub gateway: Uuid,
    /// Settings.
    pub settings: SettingsHandle,
    /// The workers.
    pub pool: Pool,
    /// Events for web pages and commands.
    pub bus: Bus,
    /// Directory of their logs.
    pub log_directory: PathBuf,
    /// Names of models and profiles.
    pub catalog: CatalogHandle,
    /// Changes when a download is done.
    pub downloads: watch::Receiver<u64>,
    /// Where the results of writes are noted.
    pub health: Arc<DatabaseHealth>,
}

impl Background {
    /// Starts all tasks. They end when the set is dropped.
    pub fn start(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().send_heartbeats());
        tasks.spawn(self.clone().delete_what_is_old());
        tasks.spawn(self.clone().follow_budget());
        tasks.spawn(self.clone().follow_downloads());
        tasks.spawn(relieve_memory_pressure(self.pool.clone(), self.bus.clone()));
        tasks.spawn(self.preload());
        tasks
    }

    async fn send_heartbeats(self) {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let result = gateways::heartbeat(&self.store, self.gateway).await;
            self.health.record(&result);
            if let Err(error) = result {
                tracing::warn!(%error, "the database does not accept writes");
            }
        }
    }

    /// Deletes at the start, once a day, and after each change of a setting.
    async fn delete_what_is_old(self) {
        let mut changes = self.settings.subscribe();
        let mut ticks = interval(RETENTION_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
            self.delete_old_rows().await;
            self.delete_old_logs().await;
        }
    }

    async fn delete_old_rows(&self) {
        let days = self.settings.get(&AUDIT_RETENTION_DAYS);
        let before = now_ms() - i64::try_from(days).unwrap_or(i64::MAX / DAY_MS) * DAY_MS;
        match requests::delete_before(&self.store, before, RETENTION_BATCH).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, days, "deleted old rows of the audit log"),
            Err(error) => tracing::warn!(%error, "old rows of the audit log are not deleted"),
        }
    }

    /// Deletes the logs of models that were stopped long ago. Without a list of the running ones the gateway exits.
    async fn delete_old_logs(&self) {
        let Ok(status) = self.pool.servers().await else {
            return;
        };
        let servers = status.servers.iter();
        let running: Vec<Uuid> = servers.map(|server| server.record.id).collect();
        let days = self.settings.get(&LOG_RETENTION_DAYS);
        let age = DAY * u32::try_from(days).unwrap_or(u32::MAX);
        let directory = self.log_directory.clone();
        let removal =
            tokio::task::spawn_blocking(move || remove_old_logs(&directory, &running, age));
        let removed = removal
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match removed {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, days, "deleted old logs of models"),
            Err(error) => tracing::warn!(%error, "old logs of models are not deleted"),
        }
    }

    async fn follow_budget(self) {
        let mut changes = self.settings.subscribe();
        let mut current = memory_budget_bytes(&self.settings);
        while changes.changed().await.is_ok() {
            let next = memory_budget_bytes(&self.settings);
            if next != current {
                current = next;
                tracing::info!(budget_bytes = next, "the memory budget has changed");
                if self.pool.set_budget(next).is_err() {
                    return;
                }
            }
        }
    }

    /// Requests can name a model as soon as its download is done.
    async fn follow_downloads(mut self) {
        while self.downloads.changed().await.is_ok() {
            self.catalog.refresh().await;
        }
    }

    /// Loads the models that are to be loaded at the start, in their order, and pins those of pinned profiles.
    async fn preload(self) {
        let snapshot = self.catalog.snapshot();
        let names = self.catalog.names();
        let mut targets = Vec::new();
        for name in self.settings.get(&PRELOAD) {
            match names.resolve(Some(&name)) {
                Ok(target) => targets.push(target),
                Err(error) => tracing::warn!(%error, "a model is not preloaded"),
            }
        }
        let wanted = |profile: &&Profile| profile.config.auto_start || profile.config.is_pinned;
        let profiles = snapshot.profiles.iter().filter(wanted);
        let by_profile =
            profiles.filter_map(|profile| names.resolve(Some(&profile.config.name)).ok());
        targets.extend(by_profile);
        for target in targets {
            if let Err(error) = self.retain(&target).await {
                tracing::warn!(model = target.model, %error, "a model is not preloaded");
            }
        }
    }

    async fn retain(
        &self,
        target: &Target,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let snapshot = self.catalog.snapshot();
        let profile = snapshot.profile_of(target);
        let pinned = profile.is_some_and(|profile| profile.config.is_pinned);
        let target = pool_target(&snapshot, &self.settings, &target.model, profile)?;
        Ok(self.pool.retain(target, pinned).await?)
    }
}

/// Memory for all models together: the setting, but at most 80% of the smallest limit of this process.
pub fn memory_budget_bytes(settings: &SettingsHandle) -> u64 {
    let limits = MemoryLimits::read();
    let machine = limits.smallest().map(|limit| limit.bytes / 5 * 4);
    budget(machine, settings.get(&MEMORY_BUDGET_BYTES))
}

/// `setting` is 0 if there is none.
fn budget(machine: Option<u64>, setting: u64) -> u64 {
    let setting = if setting == 0 { u64::MAX } else { setting };
    machine.unwrap_or(u64::MAX).min(setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_the_smaller_one_of_machine_and_setting() {
        assert_eq!(budget(Some(100), 0), 100);
        assert_eq!(budget(Some(100), 50), 50);
        assert_eq!(budget(Some(100), 200), 100);
        assert_eq!(budget(None, 200), 200);
    }
}
