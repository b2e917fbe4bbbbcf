//! Obtains workers from the pool for the requests of the proxy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use mlxm_gateway::pool::plan::Rejection;
use mlxm_gateway::{AcquireRequest, LoadSettings, Pool, ServerState, Ttl, UserId};
use mlxm_store::Uuid;
use mlxm_store::profiles::{Profile, ProfileConfig};
use tokio::sync::watch;

use super::catalog_watch::{CatalogHandle, Snapshot};
use super::problem::ApiProblem;
use super::proxy::{AcquireError, Class, KeepAlive, Lease, Target, WorkerId, Workers};
use super::settings::{QUEUE_TIMEOUT_SECONDS, SettingsHandle, TTL_SECONDS};

/// Requests without accounts are those of one user.
const OWNER: UserId = UserId(Uuid::nil());

/// The workers of the pool; clones share them.
#[derive(Clone)]
pub struct PoolWorkers(Arc<Shared>);

struct Shared {
    pool: Pool,
    catalog: CatalogHandle,
    settings: SettingsHandle,
    draining: AtomicBool,
    /// Requests that wait for a worker or have one.
    in_flight: watch::Sender<usize>,
}

/// Counts a request until it is dropped.
struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|requests| *requests -= 1);
    }
}

/// Why a profile or model cannot be loaded as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadSettingsError {
    /// The model is not on this machine, or is incomplete.
    #[error("the model {model} is not on this machine, or is incomplete: run `mlxm pull {model}`")]
    NoModel {
        /// Its name.
        model: String,
    },
    /// The profile has a setting that workers do not have yet.
    #[error("profile {profile}: {setting} is not supported yet: remove it from the profile")]
    Unsupported {
        /// The profile.
        profile: String,
        /// The setting.
        setting: &'static str,
    },
}

/// What defines the worker of a model, or of a profile.
///
/// # Errors
/// If the model is not here, or the profile has a setting that is not supported.
pub fn load_settings(
    snapshot: &Snapshot,
    model: &str,
    profile: Option<&Profile>,
) -> Result<LoadSettings, LoadSettingsError> {
    let path = snapshot
        .directory(model)
        .ok_or_else(|| LoadSettingsError::NoModel {
            model: model.to_owned(),
        })?;
    profile.map_or_else(
        || Ok(LoadSettings::new(path)),
        |profile| of_profile(&profile.config, path),
    )
}

fn of_profile(profile: &ProfileConfig, path: &Path) -> Result<LoadSettings, LoadSettingsError> {
    let load = &profile.load;
    let unsupported = [
        ("draft_model", load.draft_model.is_some()),
        ("adapters", !load.adapters.is_empty()),
        ("chat_template_file", load.chat_template_file.is_some()),
    ];
    if let Some((setting, _)) = unsupported.into_iter().find(|(_, given)| *given) {
        return Err(LoadSettingsError::Unsupported {
            profile: profile.name.clone(),
            setting,
        });
    }
    let defaults = LoadSettings::new(path);
    Ok(LoadSettings {
        context_length: load.context_length,
        max_sequences: load.max_sequences.unwrap_or(defaults.max_sequences),
        kv_pool_tokens: load.kv_pool_tokens,
        max_batch_tokens: load.max_batch_tokens,
        activation_dtype: load.activation_dtype.clone(),
        kv_cache_dtype: load.kv_cache_dtype.clone(),
        device: load.device.clone(),
        tool_call_parser: load.tool_call_parser.clone(),
        reasoning_parser: load.reasoning_parser.clone(),
        log_level: profile.log_level.clone(),
        ..defaults
    })
}

/// The pool's target for a model, or for a profile of it.
///
/// # Errors
/// If the model is not here, or the profile has a setting that is not supported.
pub fn pool_target(
    snapshot: &Snapshot,
    settings: &SettingsHandle,
    model: &str,
    profile: Option<&Profile>,
) -> Result<mlxm_gateway::Target, LoadSettingsError> {
    let ttl_seconds = profile.and_then(|profile| profile.config.ttl_seconds);
    Ok(mlxm_gateway::Target {
        name: model.to_owned(),
        settings: Arc::new(load_settings(snapshot, model, profile)?),
        ttl: ttl(ttl_seconds.unwrap_or_else(|| settings.get(&TTL_SECONDS))),
    })
}

/// Any negative number keeps a worker.
fn ttl(seconds: i64) -> Ttl {
    u64::try_from(seconds).map_or(Ttl::Keep, |seconds| {
        Ttl::After(Duration::from_secs(seconds))
    })
}

impl PoolWorkers {
    /// The workers of `pool`, for what requests can name in `catalog`.
    pub fn new(pool: Pool, catalog: CatalogHandle, settings: SettingsHandle) -> Self {
        Self(Arc::new(Shared {
            pool,
            catalog,
            settings,
            draining: AtomicBool::new(false),
            in_flight: watch::Sender::new(0),
        }))
    }

    /// From now on, new requests are rejected.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// Whether new requests are rejected.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Waits until no request waits for a worker or has one.
    pub async fn wait_until_idle(&self) {
        let mut in_flight = self.0.in_flight.subscribe();
        // The sender is in `self`, so the channel stays open.
        let _ = in_flight.wait_for(|requests| *requests == 0).await;
    }

    fn enter(&self) -> InFlight {
        self.0.in_flight.send_modify(|requests| *requests += 1);
        InFlight(self.0.clone())
    }

    async fn acquire_for(
        &self,
        target: &Target,
        class: Class,
        deadline: Instant,
    ) -> Result<Lease, AcquireError> {
        // Counted before the check, so that a drain either sees the request or is seen by it.
        let in_flight = self.enter();
        if self.is_draining() {
            return Err(ApiProblem::from(Rejection::ShuttingDown).into());
        }
        let snapshot = self.0.catalog.snapshot();
        let profile = snapshot.profile_of(target);
        let settings = &self.0.settings;
        let mut pool_target =
            pool_target(&snapshot, settings, &target.model, profile).map_err(ApiProblem::from)?;
        match target.keep_alive {
            Some(KeepAlive::Forever) => pool_target.ttl = Ttl::Keep,
            Some(KeepAlive::For(time)) => pool_target.ttl = Ttl::After(time),
            None => {}
        }
        let of_profile = profile.and_then(|profile| profile.config.queue_timeout_seconds);
        let seconds = of_profile.unwrap_or_else(|| settings.get(&QUEUE_TIMEOUT_SECONDS));
        let request = AcquireRequest {
            target: pool_target,
            user: OWNER,
            class: pool_class(class),
            queue_timeout: Duration::from_secs(seconds)
                .min(deadline.saturating_duration_since(Instant::now())),
        };
        let lease = self.0.pool.acquire(request).await;
        lease
            .map(|lease| of_pool(lease, in_flight))
            .map_err(|error| ApiProblem::from(error).into())
    }

    async fn lease_of(&self, worker: &WorkerId) -> Option<Lease> {
        let in_flight = self.enter();
        if self.is_draining() {
            return None;
        }
        let servers = self.0.pool.servers().await.ok()?.servers;
        let server = servers
            .into_iter()
            .find(|server| server.record.id.to_string() == **worker)?;
        if server.record.state != ServerState::Ready {
            return None;
        }
        let request = AcquireRequest {
            target: mlxm_gateway::Target {
                name: server.record.name,
                settings: Arc::new(server.record.settings),
                ttl: server.record.ttl,
            },
            user: OWNER,
            class: mlxm_gateway::Class::Normal,
            queue_timeout: self.0.settings.duration(&QUEUE_TIMEOUT_SECONDS),
        };
        let lease = self.0.pool.acquire(request).await.ok()?;
        // It may have been replaced in the meantime.
        (lease.server == server.record.id).then(|| of_pool(lease, in_flight))
    }
}

impl Workers for PoolWorkers {
    fn acquire<'a>(
        &'a self,
        target: &'a Target,
        class: Class,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Lease, AcquireError>> {
        Box::pin(self.acquire_for(target, class, deadline))
    }

    fn running<'a>(&'a self, worker: &'a WorkerId) -> BoxFuture<'a, Option<Lease>> {
        Box::pin(self.lease_of(worker))
    }
}

fn of_pool(lease: mlxm_gateway::Lease, in_flight: InFlight) -> Lease {
    let worker = WorkerId::from(lease.server.to_string());
    let (address, key) = (lease.address(), lease.key.clone());
    Lease::new(worker, address, key, (lease, in_flight))
}

fn pool_class(class: Class) -> mlxm_gateway::Class {
    match class {
        Class::Interactive => mlxm_gateway::Class::Interactive,
        Class::Normal => mlxm_gateway::Class::Normal,
        Class::Batch => mlxm_gateway::Class::Batch,
    }
}

#[cfg(test)]
mod tests {
    use mlxm_store::profiles;

    use super::*;

    fn profile(load: profiles::LoadSettings) -> ProfileConfig {
        ProfileConfig {
            name: "coder".to_owned(),
            model: "org/model".to_owned(),
            load,
            ..ProfileConfig::default()
        }
    }

    #[test]
    fn settings_of_a_profile_define_its_worker() {
        let load = profiles::LoadSettings {
            context_length: Some(4096),
            max_batch_tokens: Some(64),
            kv_cache_dtype: Some("int8".to_owned()),
            ..profiles::LoadSettings::default()
        };
        let profile = ProfileConfig {
            log_level: Some("debug".to_owned()),
            ..profile(load)
        };
        let settings = of_profile(&profile, Path::new("/models/x")).unwrap();
        let expected = LoadSettings {
            context_length: Some(4096),
            max_batch_tokens: Some(64),
            kv_cache_dtype: Some("int8".to_owned()),
            log_level: Some("debug".to_owned()),
            ..LoadSettings::new("/models/x")
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn settings_that_workers_do_not_have_are_rejected_by_name() {
        let load = profiles::LoadSettings {
            adapters: vec!["a".to_owned()],
            ..profiles::LoadSettings::default()
        };
        let error = of_profile(&profile(load), Path::new("/models/x")).unwrap_err();
        assert!(error.to_string().contains("adapters"), "{error}");
        assert!(error.to_string().contains("coder"), "{error}");
    }

    #[test]
    fn time_to_live_is_forever_at_once_or_later() {
        assert_eq!(ttl(-1), Ttl::Keep);
        assert_eq!(ttl(0), Ttl::After(Duration::ZERO));
        assert_eq!(ttl(60), Ttl::After(Duration::from_mins(1)));
    }
}
