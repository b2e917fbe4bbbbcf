//! The routes of the gateway's API that commands use, one method each.

use mlxm_api::wire::aliases::{Alias, AliasList, AliasRequest};
use mlxm_api::wire::audit::{AuditFilter, AuditPage};
use mlxm_api::wire::clients::{Client, ClientList, ClientQuery, ClientSetup};
use mlxm_api::wire::downloads::{Download, DownloadList, DownloadOrder, DownloadRequest};
use mlxm_api::wire::pool::{PoolPlan, PoolPlanRequest, PoolStatus};
use mlxm_api::wire::profiles::{
    DuplicateRequest, ExportResponse, ImportRequest, ImportResponse, Profile, ProfileConfig,
    ProfileFormat, ProfileList,
};
use mlxm_api::wire::servers::{Server, ServerList, StartRequest, StartResponse};
use mlxm_api::wire::settings::{Setting, SettingList, SettingsPatch, SettingsReset};
use mlxm_api::wire::system::{SystemInfo, SystemMemory};
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::client::{Gateway, route};
use crate::remote::RemoteError;

type Reply<T> = Result<T, RemoteError>;

impl Gateway {
    /// The machine and the gateway.
    pub fn system(&self) -> Reply<SystemInfo> {
        self.get("api/system/info")
    }

    /// What memory there is, and who uses it.
    pub fn memory(&self) -> Reply<SystemMemory> {
        self.get("api/system/memory")
    }

    /// The memory budget, the queue and the running models.
    pub fn pool(&self) -> Reply<PoolStatus> {
        self.get("api/pool")
    }

    /// What a start would do.
    pub fn plan(&self, request: &PoolPlanRequest) -> Reply<PoolPlan> {
        self.send(Method::POST, "api/pool/plan", request)
    }

    /// The running models.
    pub fn servers(&self) -> Reply<Vec<Server>> {
        Ok(self.get::<ServerList>("api/servers")?.servers)
    }

    /// Starts a model.
    pub fn start(&self, request: &StartRequest) -> Reply<StartResponse> {
        self.send(Method::POST, "api/servers", request)
    }

    /// Stops a model; a busy one only `now`.
    pub fn stop(&self, server: &Server, now: bool) -> Reply<()> {
        self.act(Method::DELETE, &server_route(server, None, now))
    }

    /// Stops a model and starts it again, as another server; a busy one only `now`.
    pub fn restart(&self, server: &Server, now: bool) -> Reply<()> {
        self.act(Method::POST, &server_route(server, Some("restart"), now))
    }

    /// The download queue.
    pub fn downloads(&self) -> Reply<Vec<Download>> {
        Ok(self.get::<DownloadList>("api/downloads")?.downloads)
    }

    /// Appends a download to the queue, or returns the one that is there.
    pub fn download(&self, request: &DownloadRequest) -> Reply<Download> {
        self.send(Method::POST, "api/downloads", request)
    }

    /// Pauses a download.
    pub fn pause(&self, download: &Download) -> Reply<()> {
        self.act(Method::POST, &download_route(download, "pause"))
    }

    /// Resumes a download that is paused or has failed.
    pub fn resume(&self, download: &Download) -> Reply<()> {
        self.act(Method::POST, &download_route(download, "resume"))
    }

    /// Cancels a download.
    pub fn cancel(&self, download: &Download, keep_partial: bool) -> Reply<()> {
        let route = download_route(download, "cancel");
        let keep_partial = query(&[("keep_partial", Some(keep_partial.to_string()))]);
        self.act(Method::POST, &format!("{route}{keep_partial}"))
    }

    /// Changes the order of the queue.
    pub fn order(&self, order: &DownloadOrder) -> Reply<DownloadList> {
        self.send(Method::PUT, "api/downloads/order", order)
    }

    /// All profiles.
    pub fn profiles(&self) -> Reply<Vec<Profile>> {
        Ok(self.get::<ProfileList>("api/profiles")?.profiles)
    }

    /// Creates a profile.
    pub fn create_profile(&self, config: &ProfileConfig) -> Reply<Profile> {
        self.send(Method::POST, "api/profiles", config)
    }

    /// Replaces the configuration of a profile.
    pub fn update_profile(&self, profile: &Profile, config: &ProfileConfig) -> Reply<Profile> {
        self.send(Method::PUT, &profile_route(profile, None), config)
    }

    /// Copies a profile.
    pub fn duplicate_profile(&self, profile: &Profile, name: Option<String>) -> Reply<Profile> {
        let request = DuplicateRequest { name };
        self.send(
            Method::POST,
            &profile_route(profile, Some("duplicate")),
            &request,
        )
    }

    /// Deletes a profile.
    pub fn delete_profile(&self, profile: &Profile) -> Reply<()> {
        self.act(Method::DELETE, &profile_route(profile, None))
    }

    /// A profile in a format for files.
    pub fn export_profile(
        &self,
        profile: &Profile,
        format: ProfileFormat,
    ) -> Reply<ExportResponse> {
        let route = profile_route(profile, Some("export"));
        let format = query(&[("format", Some(text(&format)))]);
        self.get(&format!("{route}{format}"))
    }

    /// Creates a profile from a file.
    pub fn import_profile(&self, request: &ImportRequest) -> Reply<ImportResponse> {
        self.send(Method::POST, "api/profiles/import", request)
    }

    /// The programs that the gateway can describe a configuration for.
    pub fn clients(&self) -> Reply<Vec<Client>> {
        Ok(self.get::<ClientList>("api/clients")?.clients)
    }

    /// How a client is configured.
    pub fn client_setup(&self, client: &str, options: &ClientQuery) -> Reply<ClientSetup> {
        let route = route(&["api", "clients", client], &[]);
        let query = query(&[
            ("model", options.model.clone()),
            ("fast", options.fast.clone()),
            ("url", options.url.clone()),
        ]);
        self.get(&format!("{route}{query}"))
    }

    /// All aliases.
    pub fn aliases(&self) -> Reply<Vec<Alias>> {
        Ok(self.get::<AliasList>("api/aliases")?.aliases)
    }

    /// Adds an alias, or changes its target.
    pub fn set_alias(&self, alias: &AliasRequest) -> Reply<Alias> {
        self.send(Method::POST, "api/aliases", alias)
    }

    /// Deletes an alias.
    pub fn delete_alias(&self, name: &str) -> Reply<()> {
        self.act(Method::DELETE, &route(&["api", "aliases", name], &[]))
    }

    /// All settings with their sources.
    pub fn settings(&self) -> Reply<Vec<Setting>> {
        Ok(self.get::<SettingList>("api/settings")?.settings)
    }

    /// Changes settings: all, or none.
    pub fn change_settings(&self, patch: &SettingsPatch) -> Reply<Value> {
        self.send(Method::PATCH, "api/settings", patch)
    }

    /// Resets settings to their defaults.
    pub fn reset_settings(&self, reset: &SettingsReset) -> Reply<Value> {
        self.send(Method::POST, "api/settings/reset", reset)
    }

    /// A page of the audit log.
    pub fn audit(&self, filter: &AuditFilter) -> Reply<AuditPage> {
        self.get(&format!("api/audit{}", audit_query(filter, None)))
    }

    /// The route of an export of the audit log.
    pub fn audit_export(filter: &AuditFilter, format: &str) -> String {
        format!("api/audit/export{}", audit_query(filter, Some(format)))
    }
}

fn server_route(server: &Server, action: Option<&str>, now: bool) -> String {
    let id = server.id.to_string();
    let segments = ["api", "servers", &id].into_iter().chain(action);
    let route = route(&segments.collect::<Vec<_>>(), &[]);
    let now = query(&[("now", Some(now.to_string()))]);
    format!("{route}{now}")
}

fn download_route(download: &Download, action: &str) -> String {
    route(&["api", "downloads", &download.id.to_string(), action], &[])
}

fn profile_route(profile: &Profile, action: Option<&str>) -> String {
    let id = profile.id.to_string();
    let segments = ["api", "profiles", &id].into_iter().chain(action);
    route(&segments.collect::<Vec<_>>(), &[])
}

fn audit_query(filter: &AuditFilter, format: Option<&str>) -> String {
    query(&[
        ("from_ms", filter.from_ms.map(|at| at.to_string())),
        ("until_ms", filter.until_ms.map(|at| at.to_string())),
        ("model", filter.model.clone()),
        ("endpoint", filter.endpoint.clone()),
        (
            "min_status",
            filter.min_status.map(|status| status.to_string()),
        ),
        ("after", filter.after.map(|id| id.to_string())),
        ("limit", filter.limit.map(|limit| limit.to_string())),
        ("format", format.map(str::to_owned)),
    ])
}

/// A query of the given parameters, with its question mark.
pub fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given: Vec<(&str, &str)> = parameters
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
        .collect();
    route(&[], &given)
}

/// The name of a unit variant in JSON.
pub fn text(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
