//! `/api/chats`: conversations without their messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use mlxm_store::chats::{self, ChatConfig, ChatPosition};
use mlxm_store::{StoreError, Uuid, messages, personas};

use super::tasks::detached;
use super::{OWNER, ids, publish, settings, title};
use crate::gateway::GatewayState;
use crate::gateway::extract::{JsonBody, OptionalJsonBody, Path, QueryParams};
use crate::gateway::management::{check_request, describe_servers};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::FieldError;
use crate::wire::change::Change;
use crate::wire::chats::{Chat, ChatChanges, ChatEntry, ChatFilter, ChatPage, NewChat};
use crate::wire::messages::MessageRole;
use crate::wire::profiles::RequestSettings;

/// Chats of a page.
const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;

const MAX_TAGS: usize = 20;
const MAX_TAG_CHARS: usize = 50;

/// The longest search, in characters.
const MAX_SEARCH_CHARS: usize = 500;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/chats", get(list).post(create)),
        (
            "/api/chats/{id}",
            get(super::show::show).patch(change).delete(remove),
        ),
        ("/api/chats/{id}/restore", post(restore)),
    ]
}

/// Lists chats: pinned ones first, then those with the latest messages. Temporary ones are not listed.
#[utoipa::path(
    get,
    path = "/api/chats",
    tag = "chats",
    operation_id = "list_chats",
    params(ChatFilter),
    responses((status = 200, body = ChatPage), (status = 404))
)]
pub async fn list(
    State(state): State<GatewayState>,
    QueryParams(filter): QueryParams<ChatFilter>,
) -> Result<Json<ChatPage>, ApiProblem> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("must be from 1 to {MAX_LIMIT}");
        return Err(ApiProblem::field("limit", "out_of_range", message));
    }
    if filter
        .q
        .as_ref()
        .is_some_and(|words| words.chars().count() > MAX_SEARCH_CHARS)
    {
        let message = format!("must have at most {MAX_SEARCH_CHARS} characters");
        return Err(ApiProblem::field("q", "out_of_range", message));
    }
    let selected = chats::ChatFilter {
        models: models(&state, &filter).await?,
        tag: filter.tag,
        is_pinned: filter.pinned,
        search: filter.q,
        is_deleted: filter.deleted.unwrap_or_default(),
        after: filter.after.as_deref().map(parse_cursor).transpose()?,
        // One more than the page shows whether another one follows.
        limit: limit + 1,
    };
    let store = state.chats().stored();
    let mut listed = chats::list(store, OWNER, &selected).await?;
    let has_more = listed.len() as u64 > limit;
    listed.truncate(limit as usize);
    let last = listed.last().filter(|_| has_more);
    let tags = chats::tags(store, OWNER).await?;
    Ok(Json(ChatPage {
        next: last.map(|last| cursor(last.chat.position())),
        chats: listed.into_iter().map(ChatEntry::from).collect(),
        tags: tags.into_iter().map(|count| count.tag).collect(),
    }))
}

/// The names of models that a filter selects; `None` for all.
async fn models(
    state: &GatewayState,
    filter: &ChatFilter,
) -> Result<Option<Vec<String>>, ApiProblem> {
    let Some(id) = filter.server else {
        return Ok(filter.model.clone().map(|model| vec![model]));
    };
    if filter.model.is_some() {
        let message = "cannot be combined with `server`: omit one of them";
        return Err(ApiProblem::field("model", "mutually_exclusive", message));
    }
    let servers = state.pool().servers().await?.all();
    let described = describe_servers(&state.snapshot(), &servers);
    let found = described.into_iter().find(|server| server.id == id);
    let server = found.ok_or_else(|| {
        ApiProblem::new(Code::SERVER_NOT_FOUND, format!("there is no server `{id}`"))
    })?;
    let mut names = server.profiles;
    names.push(server.name);
    Ok(Some(names))
}

/// A position as text, which clients do not read.
fn cursor(position: ChatPosition) -> String {
    let ChatPosition {
        is_pinned,
        active_at_ms,
        id,
    } = position;
    format!("{}.{active_at_ms}.{id}", u8::from(is_pinned))
}

fn parse_cursor(text: &str) -> Result<ChatPosition, ApiProblem> {
    let position = || {
        let mut parts = text.splitn(3, '.');
        Some(ChatPosition {
            is_pinned: match parts.next()? {
                "0" => false,
                "1" => true,
                _ => return None,
            },
            active_at_ms: parts.next()?.parse().ok()?,
            id: Uuid::try_parse(parts.next()?).ok()?,
        })
    };
    position().ok_or_else(|| {
        let message = "must be the `next` of a page: begin without it";
        ApiProblem::field("after", "invalid_value", message)
    })
}

/// Creates an empty chat.
#[utoipa::path(
    post,
    path = "/api/chats",
    tag = "chats",
    operation_id = "create_chat",
    request_body = NewChat,
    responses((status = 201, body = Chat), (status = 404))
)]
pub async fn create(
    State(state): State<GatewayState>,
    OptionalJsonBody(new): OptionalJsonBody<NewChat>,
) -> Result<(StatusCode, Json<Chat>), ApiProblem> {
    let is_temporary = new.is_temporary;
    let config = ChatConfig {
        is_title_automatic: new.title.is_none(),
        title: new.title.unwrap_or_default(),
        model: new.model,
        protocol: new.protocol.into(),
        persona_id: new.persona_id,
        system_prompt: new.system_prompt,
        settings: checked(new.settings)?.into(),
        is_pinned: new.is_pinned,
        tags: new.tags,
    };
    check(&config)?;
    let chat = if is_temporary {
        create_temporary(&state, config).await?
    } else {
        Chat::from(chats::create(state.chats().stored(), OWNER, config).await?)
    };
    publish::changed(&state, &chat);
    Ok((StatusCode::CREATED, Json(chat)))
}

async fn create_temporary(
    state: &GatewayState,
    mut config: ChatConfig,
) -> Result<Chat, ApiProblem> {
    with_persona(state, &mut config).await?;
    let (chat, oldest) = state.chats().create_temporary(config).await?;
    if let Some(oldest) = oldest {
        evict(state, oldest).await?;
    }
    Ok(chat.into())
}

/// A temporary chat gets the settings of its persona: the row of the persona is not in memory.
async fn with_persona(state: &GatewayState, config: &mut ChatConfig) -> Result<(), ApiProblem> {
    let Some(id) = config.persona_id.take() else {
        return Ok(());
    };
    let persona = personas::get(state.chats().stored(), OWNER, id).await?;
    let mut persona = settings::of_persona(persona.config);
    let system_prompt = persona.system_prompt.take();
    config.system_prompt = config.system_prompt.take().or(system_prompt);
    let own = RequestSettings::from(std::mem::take(&mut config.settings));
    config.settings = settings::merge(&[&persona, &own]).into();
    Ok(())
}

/// Deletes a temporary chat for which there is no room. Another request may have done that already.
///
/// # Errors
/// If the database in memory fails.
pub async fn evict(state: &GatewayState, id: Uuid) -> Result<(), ApiProblem> {
    state.runs().stop_chat(id).await;
    match state.chats().delete_temporary(id).await {
        Ok(()) => publish::deleted(state, id),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Deletes a temporary chat for good.
///
/// # Errors
/// If it does not exist.
async fn delete_temporary(state: &GatewayState, id: Uuid) -> Result<(), ApiProblem> {
    state.runs().stop_chat(id).await;
    state.chats().delete_temporary(id).await?;
    publish::deleted(state, id);
    Ok(())
}

/// Changes a chat. What is absent stays as it is.
#[utoipa::path(
    patch,
    path = "/api/chats/{id}",
    tag = "chats",
    operation_id = "change_chat",
    params(("id" = Uuid, Path)),
    request_body = ChatChanges,
    responses((status = 200, body = Chat), (status = 404))
)]
pub async fn change(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(changes): JsonBody<ChatChanges>,
) -> Result<Json<Chat>, ApiProblem> {
    let id = ids::chat(&id)?;
    let settings = changes.settings.clone().map(checked).transpose()?;
    let title = match &changes.title {
        Change::Keep => None,
        Change::Clear => Some((first_title(&state, id).await?, true)),
        Change::Set(title) => Some((title.clone(), false)),
    };
    let is_temporary = state.chats().is_temporary(id);
    if is_temporary && matches!(changes.persona_id, Change::Set(_)) {
        let message = "cannot be changed in a temporary chat: set `system_prompt`";
        return Err(ApiProblem::field("persona_id", "unsupported", message));
    }
    let edit = move |config: &mut ChatConfig| {
        if let Some((title, is_automatic)) = title {
            config.title = title;
            config.is_title_automatic = is_automatic;
        }
        config.model = changes.model.apply(config.model.take());
        config.persona_id = changes.persona_id.apply(config.persona_id);
        config.system_prompt = changes.system_prompt.apply(config.system_prompt.take());
        if let Some(protocol) = changes.protocol {
            config.protocol = protocol.into();
        }
        if let Some(settings) = settings {
            config.settings = settings.into();
        }
        if let Some(tags) = changes.tags {
            config.tags = tags;
        }
        config.is_pinned = changes.is_pinned.unwrap_or(config.is_pinned);
        check(config)
    };
    let chat = Chat::from(state.chats().edit(id, edit).await?);
    publish::changed(&state, &chat);
    Ok(Json(chat))
}

/// The title from the first message of the open branch; empty without messages.
async fn first_title(state: &GatewayState, id: Uuid) -> Result<String, ApiProblem> {
    let store = state.chats().of(id);
    let all = messages::list(store, OWNER, id).await?;
    let chat = chats::get(store, OWNER, id).await?;
    let branch = chat
        .leaf_id
        .map(|leaf| messages::tree::branch(&all, leaf))
        .unwrap_or_default();
    let first = branch
        .into_iter()
        .find(|message| MessageRole::from(message.role) == MessageRole::User);
    Ok(first.map_or_else(String::new, |message| {
        title::of_message(&message.body.content)
    }))
}

/// Deletes a chat and stops its runs. It can be restored for 30 days; a temporary one cannot.
#[utoipa::path(
    delete,
    path = "/api/chats/{id}",
    tag = "chats",
    operation_id = "delete_chat",
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let id = ids::chat(&id)?;
    // A client that disconnects now must not leave the runs of a deleted chat.
    detached(async move { delete(&state, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(state: &GatewayState, id: Uuid) -> Result<(), ApiProblem> {
    if state.chats().is_temporary(id) {
        return delete_temporary(state, id).await;
    }
    chats::delete(state.chats().stored(), OWNER, id).await?;
    state.runs().stop_chat(id).await;
    publish::deleted(state, id);
    Ok(())
}

/// Restores a deleted chat.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/restore",
    tag = "chats",
    operation_id = "restore_chat",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Chat), (status = 404))
)]
pub async fn restore(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Chat>, ApiProblem> {
    let id = ids::chat(&id)?;
    let chat = Chat::from(chats::restore(state.chats().stored(), OWNER, id).await?);
    publish::changed(&state, &chat);
    Ok(Json(chat))
}

/// Settings of a chat, whose system prompt is a field of its own.
pub fn checked(settings: RequestSettings) -> Result<RequestSettings, ApiProblem> {
    if settings.system_prompt.is_some() {
        let message = "is not used here: give it as `system_prompt`";
        return Err(ApiProblem::field(
            "settings.system_prompt",
            "unsupported",
            message,
        ));
    }
    check_request("settings", &settings)?;
    Ok(settings)
}

/// # Errors
/// Names every invalid field.
pub fn check(config: &ChatConfig) -> Result<(), ApiProblem> {
    let mut errors = Vec::new();
    let mut add = |field: String, code: &str, message: String| {
        errors.push(FieldError {
            field,
            code: code.to_owned(),
            message,
        });
    };
    if config.title.chars().count() > title::MAX_GIVEN_CHARS {
        let message = format!("must have at most {} characters", title::MAX_GIVEN_CHARS);
        add("title".to_owned(), "out_of_range", message);
    }
    if config
        .model
        .as_ref()
        .is_some_and(|model| model.trim().is_empty())
    {
        let message = "must be the name of a model or profile, or null".to_owned();
        add("model".to_owned(), "invalid_value", message);
    }
    if config.tags.len() > MAX_TAGS {
        let message = format!("must be at most {MAX_TAGS}");
        add("tags".to_owned(), "out_of_range", message);
    }
    for (index, tag) in config.tags.iter().enumerate() {
        let length = tag.chars().count();
        if tag.trim() != tag || length == 0 || tag.chars().any(char::is_control) {
            let message = "must be a word, without spaces at its ends".to_owned();
            add(format!("tags[{index}]"), "invalid_value", message);
        } else if length > MAX_TAG_CHARS {
            let message = format!("must have at most {MAX_TAG_CHARS} characters");
            add(format!("tags[{index}]"), "out_of_range", message);
        }
    }
    ApiProblem::fields(errors).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        for is_pinned in [false, true] {
            let position = ChatPosition {
                is_pinned,
                active_at_ms: -7,
                id: Uuid::from_u128(9),
            };
            assert_eq!(parse_cursor(&cursor(position)).unwrap(), position);
        }
        for text in [
            "",
            "2.1.x",
            "0.1",
            "1.x.00000000-0000-0000-0000-000000000001",
        ] {
            let message = parse_cursor(text).unwrap_err().to_string();
            assert!(message.starts_with("after: "), "{message}");
        }
    }

    #[test]
    fn every_invalid_field_is_named() {
        let config = ChatConfig {
            title: "é".repeat(201),
            model: Some(" ".to_owned()),
            tags: vec!["ok".to_owned(), " a".to_owned(), "x".repeat(51)],
            ..ChatConfig::default()
        };
        let problem = check(&config).unwrap_err().to_wire(None);
        let fields: Vec<&str> = problem
            .errors
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert_eq!(fields, ["title", "model", "tags[1]", "tags[2]"]);
    }
}
