//! `/api/settings`: values with their sources.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use mlxm_store::settings::{Resolved, Source};
use serde_json::Value;

use crate::gateway::GatewayState;
use crate::gateway::extract::JsonBody;
use crate::gateway::problem::ApiProblem;
use crate::gateway::settings::AnySetting;
use crate::wire::events::Event;
use crate::wire::settings::{Setting, SettingList, SettingSource, SettingsPatch, SettingsReset};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/settings", get(list).patch(change)),
        ("/api/settings/reset", post(reset)),
    ]
}

impl From<Source> for SettingSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Flag => Self::Flag,
            Source::Environment => Self::Environment,
            Source::Database => Self::Database,
            Source::Default => Self::Default,
        }
    }
}

fn describe(state: &GatewayState, setting: &dyn AnySetting, resolved: Resolved<Value>) -> Setting {
    let at_start = state.settings().at_start(setting);
    Setting {
        key: setting.key().to_owned(),
        description: setting.description().to_owned(),
        restart_pending: setting.needs_restart() && at_start.as_ref() != Some(&resolved.value),
        value: resolved.value,
        source: resolved.source.into(),
        locked: resolved.source.locks(),
        default: setting.default_value(),
        expects: setting.expects().to_owned(),
        environment: setting.environment().to_owned(),
        needs_restart: setting.needs_restart(),
    }
}

fn all(state: &GatewayState) -> SettingList {
    let settings = state.settings().list().into_iter();
    SettingList {
        settings: settings
            .map(|(setting, resolved)| describe(state, setting, resolved))
            .collect(),
    }
}

/// Lists all settings with their values and sources.
#[utoipa::path(
    get,
    path = "/api/settings",
    tag = "settings",
    operation_id = "list_settings",
    responses((status = 200, body = SettingList))
)]
pub async fn list(State(state): State<GatewayState>) -> Json<SettingList> {
    Json(all(&state))
}

/// Changes settings: all of them, or none. Settings that need a restart keep their old effect until then.
#[utoipa::path(
    patch,
    path = "/api/settings",
    tag = "settings",
    operation_id = "change_settings",
    request_body = SettingsPatch,
    responses((status = 200, body = SettingList), (status = 404), (status = 409))
)]
pub async fn change(
    State(state): State<GatewayState>,
    JsonBody(patch): JsonBody<SettingsPatch>,
) -> Result<Json<SettingList>, ApiProblem> {
    apply(&state, &patch.values).await.map(Json)
}

/// Resets settings to their defaults.
#[utoipa::path(
    post,
    path = "/api/settings/reset",
    tag = "settings",
    operation_id = "reset_settings",
    request_body = SettingsReset,
    responses((status = 200, body = SettingList), (status = 404), (status = 409))
)]
pub async fn reset(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<SettingsReset>,
) -> Result<Json<SettingList>, ApiProblem> {
    let values = request.keys.into_iter().map(|key| (key, Value::Null));
    apply(&state, &values.collect()).await.map(Json)
}

async fn apply(
    state: &GatewayState,
    changes: &BTreeMap<String, Value>,
) -> Result<SettingList, ApiProblem> {
    state.settings().change(state.store(), changes).await?;
    let list = all(state);
    for setting in &list.settings {
        if changes.contains_key(&setting.key) {
            let setting = Box::new(setting.clone());
            state.bus().publish(Event::Settings(setting));
        }
    }
    Ok(list)
}
