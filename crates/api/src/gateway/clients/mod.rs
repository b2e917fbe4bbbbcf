//! Programs that use the gateway: how each is configured, and what it has done since the gateway was started.
//!
//! - `template`: what their documentation says, a file each in `templates/`. `render`, `describe`: fill in address, model and key.
//! - `recognize`: which client has sent a request. `activity`: what each has sent.
//!
//! The page, `mlxm launch` and the tests of clients use `GET /api/clients/{client}`: there is no second copy of a configuration.

mod activity;
mod describe;
mod recognize;
mod render;
mod template;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::routing::{MethodRouter, get};

pub use activity::ClientTracker;
pub use describe::with_key;
pub use recognize::recognize;

use self::describe::{Facts, describe};
use self::template::{TEMPLATES, Template};
use super::GatewayState;
use super::catalog_watch::details_of;
use super::extract::{Path, QueryParams};
use super::problem::{ApiProblem, Code};
use super::proxy::{ModelDetails, Target};
use super::workers::load_settings;
use crate::wire::clients::{ClientList, ClientProblem, ClientQuery, ClientSetup};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/clients", get(list)),
        ("/api/clients/{client}", get(show)),
    ]
}

/// Lists the programs that the gateway can describe a configuration for, and what they have done since the gateway was started.
#[utoipa::path(
    get,
    path = "/api/clients",
    tag = "clients",
    operation_id = "list_clients",
    responses((status = 200, body = ClientList))
)]
pub async fn list(State(state): State<GatewayState>) -> Json<ClientList> {
    Json(ClientList {
        clients: TEMPLATES.iter().map(Template::client).collect(),
        activity: state.monitor().clients.all(),
    })
}

/// Describes how a client is configured: files, variables, commands and code, and what does not fit. Nothing changes.
#[utoipa::path(
    get,
    path = "/api/clients/{client}",
    tag = "clients",
    operation_id = "get_client",
    params(("client" = String, Path, description = "Its id, such as `claude-code`"), ClientQuery),
    responses((status = 200, body = ClientSetup), (status = 404))
)]
pub async fn show(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<ClientQuery>,
    headers: HeaderMap,
) -> Result<Json<ClientSetup>, ApiProblem> {
    let template = template::find(&id).ok_or_else(|| unknown(&id))?;
    let url = match &query.url {
        Some(url) => base_url(url)?,
        None => own_url(&state, &headers),
    };
    let model = Role::find(&state, query.model).await?;
    let fast = match query.fast {
        Some(name) => Role::find(&state, Some(name)).await?,
        None => model.clone(),
    };
    let problems = problems(template, model.as_ref(), fast.as_ref());
    let facts = Facts {
        url,
        context_length: model.as_ref().and_then(|role| role.context_length),
        fast_context_length: fast.as_ref().and_then(|role| role.context_length),
        is_key_required: state.access().api_key.is_some(),
        key: None,
        model: model.as_ref().map(|role| role.name.clone()),
        fast: fast.map(|role| role.name),
    };
    Ok(Json(ClientSetup {
        problems,
        ..describe(template, &facts)
    }))
}

fn unknown(id: &str) -> ApiProblem {
    let ids: Vec<&str> = TEMPLATES.iter().map(|template| &*template.id).collect();
    ApiProblem::new(Code::CLIENT_NOT_FOUND, format!("there is no client `{id}`"))
        .with_advice(format!("use one of {}", ids.join(", ")))
}

/// The address without a slash or `/v1` at its end.
fn base_url(url: &str) -> Result<String, ApiProblem> {
    let invalid = || {
        let message = format!("`{url}` is not an address such as http://127.0.0.1:8080");
        ApiProblem::field("url", "invalid_value", message)
    };
    let parsed: Uri = url.parse().map_err(|_| invalid())?;
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-._~:/[]".contains(character);
    let is_web = matches!(parsed.scheme_str(), Some("http" | "https"));
    if !is_web || parsed.authority().is_none() || !url.chars().all(is_plain) {
        return Err(invalid());
    }
    let url = url.trim_end_matches('/');
    Ok(url.strip_suffix("/v1").unwrap_or(url).to_owned())
}

/// The address that this request was sent to.
fn own_url(state: &GatewayState, headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| base_url(&format!("http://{host}")).ok());
    url.unwrap_or_else(|| format!("http://{}", state.address()))
}

/// What a client uses: a name, and what is known about what it stands for.
#[derive(Debug, Clone)]
struct Role {
    name: String,
    context_length: Option<u64>,
    /// Whether requests can have tools, if that is known.
    has_tools: Option<bool>,
}

impl Role {
    /// The profile or model with this name; without one, a model in memory, else the first profile or model; `None` if there is
    /// none at all.
    async fn find(state: &GatewayState, name: Option<String>) -> Result<Option<Self>, ApiProblem> {
        let catalog = state.catalog();
        let servers = state.pool().servers().await?.servers;
        let name = name.or_else(|| {
            let loaded = servers.last().map(|server| server.record.name.clone());
            let profile = catalog.profiles.first().map(|profile| profile.name.clone());
            let model = catalog.models.first().map(|model| model.id.clone());
            loaded.or(profile).or(model)
        });
        let Some(name) = name else {
            return Ok(None);
        };
        let target = catalog.resolve(Some(&name))?;
        let settings = load_settings_of(state, &target);
        let server = settings.and_then(|settings| {
            let mut servers = servers.iter();
            servers.find(|server| server.record.settings == settings)
        });
        let details = match catalog.details(&target) {
            // Just after the start, models are still being described.
            None => described(state, &target)
                .await
                .map(|details| catalog.with_profile(&target, details)),
            known => known,
        };
        let known = details
            .as_ref()
            .map(|details| details.context_length as u64);
        Ok(Some(Self {
            name,
            context_length: server
                .map(|server| server.record.size.context_length)
                .or(known),
            has_tools: details.map(|details| details.capabilities.tools),
        }))
    }
}

async fn described(state: &GatewayState, target: &Target) -> Option<ModelDetails> {
    let snapshot = state.snapshot();
    let path = snapshot.directory(&target.model)?;
    details_of(state.pool(), path).await
}

/// The settings of the server that has the target, if there are any.
fn load_settings_of(state: &GatewayState, target: &Target) -> Option<mlxm_gateway::LoadSettings> {
    let snapshot = state.snapshot();
    load_settings(&snapshot, &target.model, snapshot.profile_of(target)).ok()
}

/// What does not fit, most important first. `fast` counts only where the client has such a role.
fn problems(template: &Template, model: Option<&Role>, fast: Option<&Role>) -> Vec<ClientProblem> {
    let Some(model) = model else {
        return vec![ClientProblem {
            code: "no_model".to_owned(),
            model: None,
            message: "There is no model on this machine yet.".to_owned(),
            advice: "Download one: `mlxm pull OWNER/NAME`.".to_owned(),
            context_length: None,
        }];
    };
    let mut problems = problems_of(template, model);
    if let Some(fast) = fast.filter(|fast| template.has_fast_model && fast.name != model.name) {
        problems.extend(problems_of(template, fast));
    }
    problems
}

/// What does not fit of one model.
fn problems_of(template: &Template, model: &Role) -> Vec<ClientProblem> {
    let (client, name) = (template.name(), &model.name);
    let mut problems = Vec::new();
    if template.needs_tools && model.has_tools == Some(false) {
        problems.push(ClientProblem {
            code: "no_tools".to_owned(),
            model: Some(name.clone()),
            message: format!("{name} has no chat template, and {client} needs tools."),
            advice: "Choose a model that was trained for chats and tools.".to_owned(),
            context_length: None,
        });
    }
    if let (Some(needed), Some(has)) = (template.context_length, model.context_length)
        && has < needed
    {
        problems.push(ClientProblem {
            code: "context_too_small".to_owned(),
            model: Some(name.clone()),
            message: format!(
                "{name} has a context of {has} tokens, and {client} needs {needed}: its instructions alone fill much of it."
            ),
            advice: format!(
                "Set the context length of a profile: `mlxm profile new NAME --model {name} --set load.context_length={needed}`."
            ),
            context_length: Some(needed),
        });
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_servers() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://models.example/v1/", "https://models.example"),
            ("http://[::1]:8080/mlxm", "http://[::1]:8080/mlxm"),
        ] {
            assert_eq!(base_url(url).as_deref(), Ok(expected));
        }
        for url in [
            "",
            "127.0.0.1:8080",
            "/v1",
            "file:///etc",
            "http://",
            "http://a.example/?q=1",
            "http://a.example/$(id)",
            "http://a.example/'",
            "http://user:secret@a.example",
        ] {
            assert!(base_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn problems_have_the_numbers_and_the_command() {
        let role = |context_length: u64, has_tools: bool| Role {
            name: "org/model".to_owned(),
            context_length: Some(context_length),
            has_tools: Some(has_tools),
        };
        let codex = template::find("codex").unwrap();
        let codes = |role: Option<&Role>| -> Vec<String> {
            let problems = problems(codex, role, None).into_iter();
            problems.map(|problem| problem.code).collect()
        };
        assert_eq!(codes(None), ["no_model"]);
        assert!(codes(Some(&role(65_536, true))).is_empty());
        assert_eq!(
            codes(Some(&role(8192, false))),
            ["no_tools", "context_too_small"]
        );
        let small = &problems(codex, Some(&role(8192, true)), None)[0];
        assert!(small.message.contains("8192") && small.message.contains("65536"));
        assert!(small.advice.contains("load.context_length=65536"));
        assert_eq!(small.context_length, Some(65_536));
        let webui = template::find("open-webui").unwrap();
        assert!(problems(webui, Some(&role(8192, false)), None).is_empty());
    }

    #[test]
    fn model_for_small_tasks_is_checked_like_the_other() {
        let role = |name: &str, context_length: u64| Role {
            name: name.to_owned(),
            context_length: Some(context_length),
            has_tools: Some(true),
        };
        let (large, small) = (role("large", 65_536), role("small", 8192));
        let found = |client: &str, model: &Role, fast: &Role| -> Vec<(String, Option<String>)> {
            let template = template::find(client).unwrap();
            let problems = problems(template, Some(model), Some(fast)).into_iter();
            problems
                .map(|problem| (problem.code, problem.model))
                .collect()
        };
        let too_small = ("context_too_small".to_owned(), Some("small".to_owned()));
        assert_eq!(
            found("claude-code", &large, &small),
            std::slice::from_ref(&too_small)
        );
        assert_eq!(
            found("claude-code", &small, &large),
            std::slice::from_ref(&too_small)
        );
        assert_eq!(found("claude-code", &small, &small), [too_small]);
        assert!(found("codex", &large, &small).is_empty());
    }
}
