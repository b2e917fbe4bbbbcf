//! What a request to start or to plan names: a profile or a model, with settings in place of the saved ones.

use std::sync::Arc;

use mlxm_gateway::{AcquireRequest, Class, Target, UserId};
use mlxm_store::Uuid;
use mlxm_store::profiles::{Profile, ProfileConfig};

use super::super::profiles::check_load;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::proxy::TargetError;
use crate::gateway::settings::QUEUE_TIMEOUT_SECONDS;
use crate::gateway::workers::pool_target;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::profiles::LoadSettings;

/// What is to be loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Name of a profile.
    pub profile: Option<&'a str>,
    /// Any name that requests can use.
    pub model: Option<&'a str>,
    /// In place of the profile's settings.
    pub settings: Option<&'a LoadSettings>,
    /// In place of the profile's time, or the default.
    pub ttl_seconds: Option<i64>,
}

/// A target of the pool, and what its profile says about it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the pool loads.
    pub target: Target,
    /// Whether its server is never evicted.
    pub is_pinned: bool,
}

impl Resolved {
    /// The request to the pool. Servers that are started here have no user.
    pub fn request(&self, state: &GatewayState) -> AcquireRequest {
        AcquireRequest {
            target: self.target.clone(),
            user: UserId(Uuid::nil()),
            class: Class::Normal,
            queue_timeout: state.settings().duration(&QUEUE_TIMEOUT_SECONDS),
        }
    }
}

/// Finds the model and its load settings.
///
/// # Errors
/// If neither or both of profile and model are given, they do not exist, or a setting is not valid.
pub fn resolve(state: &GatewayState, wanted: &Wanted<'_>) -> Result<Resolved, ApiProblem> {
    if let Some(settings) = wanted.settings {
        check_load("settings", settings)?;
    }
    if wanted.ttl_seconds.is_some_and(|seconds| seconds < -1) {
        let message = "must be -1 (never stop), 0 (stop when idle) or more";
        return Err(ApiProblem::field("ttl_seconds", "out_of_range", message));
    }
    let snapshot = state.snapshot();
    let (model, profile) = named(state, &snapshot, wanted)?;
    let is_pinned = profile.is_some_and(|profile| profile.config.is_pinned);
    let changed = with_changes(&model, profile, wanted);
    let target = pool_target(
        &snapshot,
        state.settings(),
        &model,
        changed.as_ref().or(profile),
    )?;
    Ok(Resolved { target, is_pinned })
}

/// The model, and the profile if one is named.
fn named<'a>(
    state: &GatewayState,
    snapshot: &'a Snapshot,
    wanted: &Wanted<'_>,
) -> Result<(String, Option<&'a Profile>), ApiProblem> {
    match (wanted.profile, wanted.model) {
        (Some(_), Some(_)) => {
            let message = "give either profile or model";
            Err(ApiProblem::field("model", "mutually_exclusive", message))
        }
        (None, None) => Err(ApiProblem::field(
            "model",
            "missing",
            "model or profile is required",
        )),
        (Some(name), None) => match snapshot.profile(name) {
            Some(profile) => Ok((profile.config.model.clone(), Some(profile))),
            None => Err(ApiProblem::new(
                Code::PROFILE_NOT_FOUND,
                format!("there is no profile `{name}`"),
            )
            .with_advice("`mlxm profile list` lists the profiles")),
        },
        (None, Some(name)) => {
            let target = state.catalog().resolve(Some(name))?;
            let profile = snapshot.profile_of(&target);
            Ok((target.model, profile))
        }
    }
}

/// The profile as if it had been saved with the settings of the request; `None` if the request has none.
fn with_changes(model: &str, profile: Option<&Profile>, wanted: &Wanted<'_>) -> Option<Profile> {
    if wanted.settings.is_none() && wanted.ttl_seconds.is_none() {
        return None;
    }
    let mut changed = profile.cloned().unwrap_or_else(|| Profile {
        id: Uuid::nil(),
        config: ProfileConfig {
            name: model.to_owned(),
            model: model.to_owned(),
            ..ProfileConfig::default()
        },
        created_at_ms: 0,
        updated_at_ms: 0,
    });
    if let Some(settings) = wanted.settings {
        changed.config.load = settings.clone().into();
    }
    if let Some(seconds) = wanted.ttl_seconds {
        changed.config.ttl_seconds = Some(seconds);
    }
    Some(changed)
}

/// The target of a server that exists.
pub fn of_server(record: &mlxm_gateway::ServerRecord) -> Target {
    Target {
        name: record.name.clone(),
        settings: Arc::new(record.settings.clone()),
        ttl: record.ttl,
    }
}

impl From<TargetError> for ApiProblem {
    fn from(error: TargetError) -> Self {
        let message = error.to_string();
        match error {
            TargetError::Ambiguous { .. } => Self::field("model", "invalid_value", message),
            _ => Self::new(Code::MODEL_NOT_FOUND, message.clone()).with_field(
                "model",
                "unknown_model",
                message,
            ),
        }
    }
}
