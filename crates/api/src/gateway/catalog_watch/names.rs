//! The names that requests can use, from what is on this machine and in the database.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use mlxm_gateway::{ServerState, ServerStatus};
use mlxm_hub::LocalModel;
use mlxm_store::profiles::Profile;
use serde_json::{Map, Value};

use super::Snapshot;
use crate::gateway::proxy::{self, Alias, Capabilities, Catalog, ModelDetails, RequestDefaults};
use crate::gateway::workers::load_settings;

/// The names of a snapshot. `details` are those of model directories, and `servers` the running workers.
pub fn catalog(
    snapshot: &Snapshot,
    details: &BTreeMap<PathBuf, ModelDetails>,
    servers: &[ServerStatus],
) -> Catalog {
    let ready = |server: &&ServerStatus| server.record.state == ServerState::Ready;
    let ready: Vec<&ServerStatus> = servers.iter().filter(ready).collect();
    let models = snapshot
        .models
        .iter()
        .filter(|model| model.complete)
        .filter_map(|model| Some(local_model(model, model.path.as_deref()?, details, &ready)));
    let profiles = snapshot.profiles.iter();
    let aliases = snapshot.aliases.iter().filter_map(|alias| {
        Alias::new(&alias.name, &alias.target)
            .inspect_err(|error| tracing::warn!(%error, "an alias is ignored"))
            .ok()
    });
    let mut aliases: Vec<Alias> = aliases.collect();
    // The first that matches counts: of `claude-*` and `claude-*haiku*`, it is the latter for a name that both match.
    aliases.sort_by_key(|alias| Reverse(alias.specificity()));
    Catalog {
        models: models.collect(),
        profiles: profiles
            .map(|profile| named_profile(snapshot, profile, &ready))
            .collect(),
        aliases,
    }
}

fn local_model(
    model: &LocalModel,
    path: &Path,
    details: &BTreeMap<PathBuf, ModelDetails>,
    ready: &[&ServerStatus],
) -> proxy::LocalModel {
    let created = model.last_modified.duration_since(UNIX_EPOCH);
    proxy::LocalModel {
        id: model.name.clone(),
        created: created.map_or(0, |time| time.as_secs()),
        details: details.get(path).cloned(),
        loaded: ready
            .iter()
            .any(|server| server.record.settings.model == path),
    }
}

fn named_profile(
    snapshot: &Snapshot,
    profile: &Profile,
    ready: &[&ServerStatus],
) -> proxy::Profile {
    let config = &profile.config;
    let settings = load_settings(snapshot, &config.model, Some(profile)).ok();
    proxy::Profile {
        name: config.name.clone(),
        model: config.model.clone(),
        context_length: config.load.context_length.map(|tokens| tokens as usize),
        defaults: defaults(profile),
        loaded: settings.is_some_and(|settings| {
            ready
                .iter()
                .any(|server| server.record.settings == settings)
        }),
    }
}

/// The request settings of a profile, by the names that workers know.
fn defaults(profile: &Profile) -> Option<RequestDefaults> {
    let settings: Map<String, Value> = match serde_json::to_value(&profile.config.request) {
        Ok(Value::Object(settings)) => settings,
        _ => return None,
    };
    if settings.is_empty() {
        return None;
    }
    RequestDefaults::new(&settings)
        .inspect_err(|error| {
            tracing::warn!(profile = profile.config.name, %error, "its request settings are ignored");
        })
        .ok()
}

/// The details in the output of `mlxm show --json`.
pub fn details(description: &Value) -> Option<ModelDetails> {
    let has = |name: &str| description[name] == Value::Bool(true);
    Some(ModelDetails {
        context_length: usize::try_from(description["memory"]["context_length"].as_u64()?).ok()?,
        architecture: description["architecture"].as_str()?.to_owned(),
        parameters: description["parameters"].as_u64()?,
        capabilities: Capabilities {
            chat: has("chat_template"),
            // Templates without tools get them described in the system message.
            tools: has("chat_template"),
            reasoning: has("thinking"),
            ..Capabilities::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mlxm_gateway::{CacheSize, LoadSettings, ServerRecord, Ttl};
    use mlxm_hub::LocalSource;
    use mlxm_store::profiles::{self, ProfileConfig, RequestSettings};
    use mlxm_store::{Uuid, aliases};
    use serde_json::json;

    use super::*;

    fn model(name: &str, complete: bool) -> LocalModel {
        LocalModel {
            name: name.to_owned(),
            source: LocalSource::ModelsDir,
            path: Some(Path::new("/models").join(name)),
            revisions: Vec::new(),
            size_bytes: 1,
            last_modified: UNIX_EPOCH + Duration::from_secs(7),
            complete,
            missing_files: Vec::new(),
        }
    }

    fn profile(name: &str, model: &str, context_length: Option<u32>) -> Profile {
        Profile {
            id: Uuid::nil(),
            config: ProfileConfig {
                name: name.to_owned(),
                model: model.to_owned(),
                load: profiles::LoadSettings {
                    context_length,
                    ..profiles::LoadSettings::default()
                },
                request: RequestSettings {
                    temperature: Some(0.5),
                    ..RequestSettings::default()
                },
                ..ProfileConfig::default()
            },
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    fn server(settings: LoadSettings) -> ServerStatus {
        ServerStatus {
            record: ServerRecord {
                id: Uuid::nil(),
                name: "a".to_owned(),
                settings,
                size: CacheSize {
                    context_length: 1,
                    kv_pool_tokens: 1,
                    plan_bytes: 1,
                },
                ttl: Ttl::Keep,
                port: None,
                version: None,
                capabilities: Value::Null,
                process: None,
                state: ServerState::Ready,
                detail: None,
                started_at_ms: 0,
                restarts: 0,
            },
            running: 0,
            pinned: false,
            last_used_at_ms: None,
            failure: None,
        }
    }

    fn alias(name: &str, target: &str) -> aliases::Alias {
        aliases::Alias {
            id: Uuid::nil(),
            name: name.to_owned(),
            target: target.to_owned(),
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    #[test]
    fn more_specific_aliases_come_first() {
        let snapshot = Snapshot {
            models: Vec::from(["a", "b", "c"].map(|name| model(name, true))),
            profiles: Vec::new(),
            aliases: vec![
                alias("claude-*", "a"),
                alias("claude-*haiku*", "b"),
                alias("claude-x", "c"),
            ],
        };
        let catalog = catalog(&snapshot, &BTreeMap::new(), &[]);
        for (name, expected) in [
            ("claude-opus-5", "a"),
            ("claude-haiku-4-5", "b"),
            ("claude-x", "c"),
        ] {
            assert_eq!(catalog.resolve(Some(name)).unwrap().model, expected);
        }
    }

    #[test]
    fn models_profiles_and_aliases_are_names() {
        let snapshot = Snapshot {
            models: vec![model("a", true), model("b", false)],
            profiles: vec![
                profile("long", "a", Some(8192)),
                profile("short", "a", None),
            ],
            aliases: vec![alias("gpt-*", "long")],
        };
        let details = BTreeMap::from([(PathBuf::from("/models/a"), ModelDetails::default())]);
        let loaded = LoadSettings {
            context_length: Some(8192),
            ..LoadSettings::new("/models/a")
        };
        let catalog = catalog(&snapshot, &details, &[server(loaded)]);
        let models = [proxy::LocalModel {
            id: "a".to_owned(),
            created: 7,
            details: Some(ModelDetails::default()),
            loaded: true,
        }];
        assert_eq!(catalog.models, models);
        let loaded: Vec<bool> = catalog
            .profiles
            .iter()
            .map(|profile| profile.loaded)
            .collect();
        assert_eq!(loaded, [true, false]);
        let target = catalog.resolve(Some("gpt-4o")).unwrap();
        assert_eq!(target.profile.as_deref(), Some("long"));
        assert!(target.defaults.is_some());
    }

    #[test]
    fn details_are_read_from_the_description_of_a_model() {
        let description = json!({
            "architecture": "llama", "parameters": 135, "chat_template": true, "tools": false, "thinking": true,
            "memory": {"context_length": 4096},
        });
        assert_eq!(details(&json!({})), None);
        let details = details(&description).unwrap();
        assert_eq!((details.context_length, details.parameters), (4096, 135));
        let capabilities = details.capabilities;
        assert_eq!(
            (
                capabilities.chat,
                capabilities.tools,
                capabilities.reasoning
            ),
            (true, true, true)
        );
    }
}
