//! `GET /api/chats/{id}/export`: a chat as a file.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use data_encoding::BASE64;
use mlxm_store::{chats, messages};

use super::attachments::files_of;
use super::stores::ChatStores;
use super::tasks::blocking;
use super::{OWNER, ids, markdown};
use crate::gateway::GatewayState;
use crate::gateway::extract::{Path, QueryParams};
use crate::gateway::problem::ApiProblem;
use crate::wire::attachments::NewAttachment;
use crate::wire::chats::{ChatExport, ChatExportFormat, ChatExportQuery};
use crate::wire::messages::Message;

/// The version of the format.
pub const VERSION: u32 = 1;

/// The longest name of a file, without its ending.
const MAX_FILE_NAME_CHARS: usize = 80;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![("/api/chats/{id}/export", get(export))]
}

/// Exports a chat: all branches and attachments as JSON, which can be imported, or the open branch as Markdown.
#[utoipa::path(
    get,
    path = "/api/chats/{id}/export",
    tag = "chats",
    operation_id = "export_chat",
    params(("id" = Uuid, Path), ChatExportQuery),
    responses(
        (
            status = 200,
            description = "The file",
            content((ChatExport = "application/json"), (String = "text/markdown"))
        ),
        (status = 404)
    )
)]
pub async fn export(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<ChatExportQuery>,
) -> Result<Response, ApiProblem> {
    let id = ids::chat(&id)?;
    let store = state.chats().of(id);
    let chat = chats::get(store, OWNER, id).await?;
    let all = messages::list(store, OWNER, id).await?;
    let name = file_name(&chat.config.title);
    let disposition = |ending: &str| {
        let value = format!("attachment; filename=\"{name}.{ending}\"");
        (header::CONTENT_DISPOSITION, value)
    };
    Ok(match query.format {
        ChatExportFormat::Json => {
            let file = ChatExport {
                version: VERSION,
                attachments: files(state.chats(), &all).await?,
                chat: chat.into(),
                messages: all.into_iter().map(Message::from).collect(),
            };
            ([disposition("json")], Json(file)).into_response()
        }
        ChatExportFormat::Markdown => {
            let branch = chat
                .leaf_id
                .map(|leaf| messages::tree::branch(&all, leaf))
                .unwrap_or_default();
            let text = markdown::document(state.chats(), &chat, &branch).await?;
            let media_type = (
                header::CONTENT_TYPE,
                "text/markdown; charset=utf-8".to_owned(),
            );
            ([disposition("md"), media_type], text).into_response()
        }
    })
}

/// The files of messages, each once.
async fn files(
    stores: &ChatStores,
    all: &[messages::Message],
) -> Result<Vec<NewAttachment>, ApiProblem> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for file in all
        .iter()
        .flat_map(|message| files_of(&message.body.content))
    {
        if seen.insert(file.hash) {
            let content = file.content(stores).await?;
            files.push(NewAttachment {
                name: file.name.to_owned(),
                media_type: Some(file.media_type.to_owned()),
                data: blocking(move || Ok(BASE64.encode(&content))).await?,
                is_temporary: false,
            });
        }
    }
    Ok(files)
}

/// A name that every file system and header accepts.
fn file_name(title: &str) -> String {
    let words = title
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_lowercase();
    let name: String = name.chars().take(MAX_FILE_NAME_CHARS).collect();
    if name.is_empty() {
        "chat".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_have_no_special_characters() {
        for (title, name) in [
            ("Fix the \"flaky\" test…", "fix-the-flaky-test"),
            ("../../etc/passwd\r\n", "etc-passwd"),
            ("你好", "chat"),
            ("", "chat"),
        ] {
            assert_eq!(file_name(title), name);
        }
        assert_eq!(file_name(&"a".repeat(200)).len(), MAX_FILE_NAME_CHARS);
    }
}
