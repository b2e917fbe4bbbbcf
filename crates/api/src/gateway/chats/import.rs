//! `POST /api/chats/import`: a chat from an exported file. Everything in it is checked before anything is stored.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, post};
use mlxm_store::chats::{self, ChatConfig, ChatImport};
use mlxm_store::messages::{self, Part};
use mlxm_store::{Store, StoreError, Uuid, attachments, now_ms, personas};

use super::attachments::{CHAT_LIMIT_BYTES, CheckedFile, add_sizes, check_chat_limit, decode, put};
use super::{OWNER, conversations, convert, export, publish};
use crate::gateway::GatewayState;
use crate::gateway::extract::LargeJsonBody;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::FieldError;
use crate::wire::attachments::NewAttachment;
use crate::wire::chats::{Chat, ChatExport};
use crate::wire::messages::{Message, MessageRole};

/// Largest file: the attachments of a chat in base64, and texts.
const BODY_BYTES: usize = (CHAT_LIMIT_BYTES as usize) / 3 * 4 + (32 << 20);

/// Most messages.
const MAX_MESSAGES: usize = 10_000;

/// Most errors that a response names.
const MAX_ERRORS: usize = 20;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    let limit = DefaultBodyLimit::max(BODY_BYTES);
    vec![("/api/chats/import", post(import).layer(limit))]
}

/// Imports a chat as a new one, with all branches and attachments.
#[utoipa::path(
    post,
    path = "/api/chats/import",
    tag = "chats",
    operation_id = "import_chat",
    request_body = ChatExport,
    responses((status = 201, body = Chat), (status = 507))
)]
pub async fn import(
    State(state): State<GatewayState>,
    LargeJsonBody(file): LargeJsonBody<ChatExport>,
) -> Result<(StatusCode, Json<Chat>), ApiProblem> {
    let store = state.chats().stored();
    if file.version != export::VERSION {
        let message = format!(
            "is {}, and this version of mlxm reads {}: update mlxm",
            file.version,
            export::VERSION
        );
        return Err(ApiProblem::field("version", "unsupported", message));
    }
    check_messages(&file)?;
    let (leaf_id, created_at_ms) = (file.chat.leaf_id, file.chat.created_at_ms);
    let config = config(store, file.chat).await?;
    let files = decode_all(file.attachments).await?;
    let mut import = ChatImport {
        config,
        leaf_id,
        created_at_ms: created_at_ms.clamp(0, now_ms()),
        messages: file.messages.into_iter().map(stored).collect(),
    };
    import.check()?;
    describe_files(store, &mut import.messages, &files).await?;
    for checked in files.into_values() {
        put(store, checked).await?;
    }
    let chat = Chat::from(chats::import(store, OWNER, import).await?);
    publish::changed(&state, &chat);
    Ok((StatusCode::CREATED, Json(chat)))
}

/// The configuration of the new chat. A persona that is not here any more is left out.
async fn config(store: &Store, chat: Chat) -> Result<ChatConfig, ApiProblem> {
    let in_chat = |problem: ApiProblem| problem.within("chat");
    let persona_id = match chat.persona_id {
        None => None,
        Some(id) => match personas::get(store, OWNER, id).await {
            Ok(_) => Some(id),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let config = ChatConfig {
        title: chat.title,
        is_title_automatic: false,
        model: chat.model,
        protocol: chat.protocol.into(),
        persona_id,
        system_prompt: chat.system_prompt,
        settings: conversations::checked(chat.settings)
            .map_err(in_chat)?
            .into(),
        is_pinned: chat.is_pinned,
        tags: chat.tags,
    };
    conversations::check(&config).map_err(in_chat)?;
    Ok(config)
}

/// Each message names its parent, and a response has one. Whether they form trees is checked by the store.
fn check_messages(file: &ChatExport) -> Result<(), ApiProblem> {
    if file.messages.len() > MAX_MESSAGES {
        let message = format!("must be at most {MAX_MESSAGES}");
        return Err(ApiProblem::field("messages", "out_of_range", message));
    }
    let mut errors = Vec::new();
    let mut add = |field: String, message: &str| {
        errors.push(FieldError {
            field,
            code: "invalid_value".to_owned(),
            message: message.to_owned(),
        });
    };
    let known: BTreeSet<Uuid> = file.messages.iter().map(|message| message.id).collect();
    for (index, message) in file.messages.iter().enumerate() {
        let problem = match message.parent_id {
            Some(parent) if !known.contains(&parent) => "must be the id of one of the messages",
            None if message.role == MessageRole::Assistant => {
                "must be a message: a response follows one"
            }
            _ => continue,
        };
        add(format!("messages[{index}].parent_id"), problem);
    }
    if file.chat.leaf_id.is_some_and(|leaf| !known.contains(&leaf)) {
        add(
            "chat.leaf_id".to_owned(),
            "must be the id of one of the messages",
        );
    }
    errors.truncate(MAX_ERRORS);
    ApiProblem::fields(errors).map_or(Ok(()), Err)
}

/// The message to store.
fn stored(message: Message) -> messages::Message {
    messages::Message {
        id: message.id,
        chat_id: Uuid::nil(),
        parent_id: message.parent_id,
        role: message.role.into(),
        model: message.model.clone(),
        run_id: None,
        seq: 0,
        state: message.state.into(),
        created_at_ms: message.created_at_ms,
        updated_at_ms: message.created_at_ms,
        body: convert::body(message),
    }
}

/// The files by their hashes.
async fn decode_all(
    attachments: Vec<NewAttachment>,
) -> Result<BTreeMap<String, CheckedFile>, ApiProblem> {
    let decode_all = move || {
        let files = attachments.into_iter().enumerate().map(|(index, file)| {
            let file = decode(file, &format!("attachments[{index}]."))?;
            Ok::<_, ApiProblem>((file.hash.clone(), file))
        });
        files.collect::<Result<BTreeMap<_, _>, _>>()
    };
    tokio::task::spawn_blocking(decode_all)
        .await
        .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))?
}

/// Gives the attachments of messages the types and sizes of their files, which must be in the file or stored already, and fit
/// into a chat.
async fn describe_files(
    store: &Store,
    messages: &mut [messages::Message],
    files: &BTreeMap<String, CheckedFile>,
) -> Result<(), ApiProblem> {
    let mut sizes = BTreeMap::new();
    for (index, message) in messages.iter_mut().enumerate() {
        for (at, part) in message.body.content.iter_mut().enumerate() {
            let Part::Attachment {
                hash,
                media_type,
                size_bytes,
                ..
            } = part
            else {
                continue;
            };
            if let Some(file) = files.get(hash) {
                media_type.clone_from(&file.media_type);
                *size_bytes = file.content.len() as u64;
                continue;
            }
            match attachments::get(store, OWNER, hash).await {
                Ok(file) => {
                    *media_type = file.media_type;
                    *size_bytes = file.size_bytes;
                }
                Err(StoreError::NotFound { .. }) => {
                    let field = format!("messages[{index}].content[{at}].hash");
                    let message = "is neither in `attachments` nor stored here";
                    return Err(ApiProblem::field(field, "invalid_value", message));
                }
                Err(error) => return Err(error.into()),
            }
        }
        add_sizes(&mut sizes, &message.body.content);
    }
    check_chat_limit(sizes.values().sum())
}
