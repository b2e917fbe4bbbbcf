//! `/api/attachments`: files that messages refer to, stored once per content.
//!
//! They are uploaded as base64 in JSON: web pages of other sites cannot send that without asking first, and exports of chats have
//! the same form.

mod files;
mod kind;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use data_encoding::BASE64;
use mlxm_store::messages::{self, Part};
use mlxm_store::{Store, StoreError, Uuid, attachments};

pub use files::{FilePart, files_of};
pub use kind::kind_of;

use super::OWNER;
use super::stores::ChatStores;
use super::tasks::blocking;
use crate::gateway::GatewayState;
use crate::gateway::extract::{LargeJsonBody, Path};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::attachments::{Attachment, AttachmentKind, AttachmentList, NewAttachment};
use crate::wire::messages::NewPart;

/// Largest file.
pub const FILE_LIMIT_BYTES: u64 = 20 << 20;

/// Most that the files of a chat may have together.
pub const CHAT_LIMIT_BYTES: u64 = 64 << 20;

/// Most that all files may have together.
const TOTAL_LIMIT_BYTES: u64 = 4 << 30;

/// Largest body of an upload: base64 has four characters for three bytes.
const UPLOAD_BODY_BYTES: usize = (FILE_LIMIT_BYTES as usize) / 3 * 4 + (64 << 10);

/// The longest name of a file, in characters.
const MAX_NAME_CHARS: usize = 200;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    let limit = DefaultBodyLimit::max(UPLOAD_BODY_BYTES);
    vec![
        ("/api/attachments", get(list).post(add).layer(limit)),
        ("/api/attachments/{hash}", get(content)),
    ]
}

/// Lists stored files, and the limits.
#[utoipa::path(
    get,
    path = "/api/attachments",
    tag = "chats",
    operation_id = "list_attachments",
    responses((status = 200, body = AttachmentList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<AttachmentList>, ApiProblem> {
    let store = state.chats().stored();
    let stored = attachments::list(store, OWNER).await?;
    Ok(Json(AttachmentList {
        attachments: stored.into_iter().map(Attachment::from).collect(),
        total_bytes: attachments::total_bytes(store, OWNER).await?,
        limit_bytes: TOTAL_LIMIT_BYTES,
        file_limit_bytes: FILE_LIMIT_BYTES,
    }))
}

/// Stores a file, so that messages can refer to its hash. Unused, it is deleted after a day; a temporary one, after an hour.
#[utoipa::path(
    post,
    path = "/api/attachments",
    tag = "chats",
    operation_id = "add_attachment",
    request_body = NewAttachment,
    responses((status = 201, body = Attachment), (status = 507))
)]
pub async fn add(
    State(state): State<GatewayState>,
    LargeJsonBody(file): LargeJsonBody<NewAttachment>,
) -> Result<(StatusCode, Json<Attachment>), ApiProblem> {
    let is_temporary = file.is_temporary;
    let file = blocking(move || decode(file, "")).await?;
    let stores = state.chats();
    let store = if is_temporary {
        stores.temporary().await?
    } else {
        stores.stored()
    };
    let attachment = put(store, file).await?;
    Ok((StatusCode::CREATED, Json(attachment.into())))
}

/// Returns the content of a file. Texts have the type `text/plain`, so that a browser never runs them.
#[utoipa::path(
    get,
    path = "/api/attachments/{hash}",
    tag = "chats",
    operation_id = "get_attachment",
    params(("hash" = String, Path, description = "SHA-256 of its content, in hexadecimal")),
    responses(
        (
            status = 200,
            description = "The content",
            content((String = "text/plain"), (String = "image/*"))
        ),
        (status = 404)
    )
)]
pub async fn content(
    State(state): State<GatewayState>,
    Path(hash): Path<String>,
) -> Result<Response, ApiProblem> {
    let (store, attachment) = find(state.chats(), &hash).await?;
    let content = attachments::content(store, OWNER, &attachment.hash).await?;
    let media_type = match kind_of(&attachment.media_type) {
        AttachmentKind::Image => HeaderValue::from_str(&attachment.media_type),
        AttachmentKind::Text => Ok(HeaderValue::from_static("text/plain; charset=utf-8")),
    };
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=31536000, immutable"),
        ),
    ];
    Ok((headers, content).into_response())
}

/// A file whose type and size were checked.
pub struct CheckedFile {
    /// Its name.
    pub name: String,
    /// Its type, from its content.
    pub media_type: String,
    /// What messages refer to it by.
    pub hash: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Checks a file, which takes a while. `path` is where it is in the request, such as `attachments[0].`.
///
/// # Errors
/// Names the field: the name is empty, the content is not base64, too large, or nothing that models read.
pub fn decode(file: NewAttachment, path: &str) -> Result<CheckedFile, ApiProblem> {
    let name = base_name(&file.name).ok_or_else(|| {
        ApiProblem::field(format!("{path}name"), "invalid_value", "must not be empty")
    })?;
    let content = BASE64.decode(file.data.as_bytes()).map_err(|error| {
        let message = format!("is not base64: {error}");
        ApiProblem::field(format!("{path}data"), "invalid_value", message)
    })?;
    if content.len() as u64 > FILE_LIMIT_BYTES {
        let detail = format!(
            "{name} has {} bytes, and the limit of a file is {FILE_LIMIT_BYTES}",
            content.len()
        );
        return Err(ApiProblem::new(Code::ATTACHMENT_TOO_LARGE, detail)
            .with_advice("attach the part that matters"));
    }
    let detected = kind::detect(&name, file.media_type.as_deref(), &content).map_err(|error| {
        ApiProblem::new(Code::ATTACHMENT_UNSUPPORTED, format!("{name}: {error}")).with_field(
            format!("{path}data"),
            "unsupported",
            error.to_string(),
        )
    })?;
    Ok(CheckedFile {
        name,
        media_type: detected.media_type,
        hash: attachments::hash(&content),
        content,
    })
}

/// Stores a file. One that is stored already counts once.
///
/// # Errors
/// If the files of the user would be too large together.
pub async fn put(store: &Store, file: CheckedFile) -> Result<attachments::Attachment, ApiProblem> {
    let more = match attachments::get(store, OWNER, &file.hash).await {
        Ok(_) => 0,
        Err(StoreError::NotFound { .. }) => file.content.len() as u64,
        Err(error) => return Err(error.into()),
    };
    let total = attachments::total_bytes(store, OWNER).await?;
    if more > 0 && total + more > TOTAL_LIMIT_BYTES {
        let detail = format!("all attachments together have {total} bytes of {TOTAL_LIMIT_BYTES}");
        return Err(ApiProblem::new(Code::ATTACHMENTS_FULL, detail)
            .with_advice("delete chats with large attachments"));
    }
    let stored = attachments::put(store, OWNER, &file.name, &file.media_type, file.content).await;
    Ok(stored?)
}

/// The name without directories and control characters; `None` if nothing is left.
fn base_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A file in the database, or one of a temporary chat.
async fn find<'a>(
    stores: &'a ChatStores,
    hash: &str,
) -> Result<(&'a Store, attachments::Attachment), ApiProblem> {
    let mut missing = None;
    for store in stores.all() {
        match attachments::get(store, OWNER, hash).await {
            Ok(attachment) => return Ok((store, attachment)),
            Err(error @ StoreError::NotFound { .. }) => missing = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(missing.map_or_else(
        || ApiProblem::new(Code::ATTACHMENT_NOT_FOUND, "there is no such attachment"),
        ApiProblem::from,
    ))
}

/// The parts of a message that a user sends, with the names and sizes of its files, ready to be stored in the chat.
///
/// # Errors
/// Names the part of `content`: a file that is not stored, or one too many. A message without text and files is rejected.
pub async fn resolve(
    stores: &ChatStores,
    chat: Uuid,
    parts: Vec<NewPart>,
) -> Result<Vec<Part>, ApiProblem> {
    let parts = describe(stores, "content", parts).await?;
    let has_content = parts.iter().any(|part| match part {
        Part::Text { text } => !text.trim().is_empty(),
        Part::Attachment { .. } => true,
    });
    if !has_content {
        let message = "must have text or an attachment";
        return Err(ApiProblem::field("content", "missing", message));
    }
    let mut sizes = BTreeMap::new();
    add_sizes(&mut sizes, &parts);
    if !sizes.is_empty() {
        let store = stores.of(chat);
        for message in messages::list(store, OWNER, chat).await? {
            add_sizes(&mut sizes, &message.body.content);
        }
        check_chat_limit(sizes.values().sum())?;
        copy(stores, store, &parts).await?;
    }
    Ok(parts)
}

/// As [`resolve`], for a message in the field `field` that is not stored, and may be empty.
///
/// # Errors
/// Names the part whose file is not stored.
pub async fn describe(
    stores: &ChatStores,
    field: &str,
    parts: Vec<NewPart>,
) -> Result<Vec<Part>, ApiProblem> {
    let mut described = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        described.push(match part {
            NewPart::Text { text } => Part::Text { text },
            NewPart::Attachment { hash, name } => {
                let (_, attachment) = find(stores, &hash).await.map_err(|problem| {
                    let message = "no such file is stored: send it to /api/attachments first";
                    problem.with_field(format!("{field}[{index}].hash"), "invalid_value", message)
                })?;
                let name = name.as_deref().and_then(base_name);
                Part::Attachment {
                    hash: attachment.hash,
                    name: name.unwrap_or(attachment.name),
                    media_type: attachment.media_type,
                    size_bytes: attachment.size_bytes,
                }
            }
        });
    }
    Ok(described)
}

/// Adds the sizes of files, each once.
pub fn add_sizes(sizes: &mut BTreeMap<String, u64>, parts: &[Part]) {
    for part in parts {
        if let Part::Attachment {
            hash, size_bytes, ..
        } = part
        {
            sizes.insert(hash.clone(), *size_bytes);
        }
    }
}

/// # Errors
/// If the files of a chat are too large together.
pub fn check_chat_limit(bytes: u64) -> Result<(), ApiProblem> {
    if bytes <= CHAT_LIMIT_BYTES {
        return Ok(());
    }
    let detail = format!(
        "the attachments of the chat would have {bytes} bytes, and the limit is {CHAT_LIMIT_BYTES}"
    );
    Err(ApiProblem::new(Code::ATTACHMENT_TOO_LARGE, detail)
        .with_advice("begin a new chat, or attach the part that matters"))
}

/// Copies files into the store of a chat that were added for a chat in the other one.
async fn copy(stores: &ChatStores, to: &Store, parts: &[Part]) -> Result<(), ApiProblem> {
    for file in files_of(parts) {
        match attachments::get(to, OWNER, file.hash).await {
            Ok(_) => continue,
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let content = file.content(stores).await?;
        let file = CheckedFile {
            name: file.name.to_owned(),
            media_type: file.media_type.to_owned(),
            hash: file.hash.to_owned(),
            content,
        };
        put(to, file).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_directories() {
        for (name, expected) in [
            ("test.rs", Some("test.rs")),
            ("C:\\Users\\me\\a b.txt ", Some("a b.txt")),
            ("../../etc/passwd", Some("passwd")),
            ("a\nb", Some("ab")),
            ("dir/", None),
            (" ", None),
        ] {
            assert_eq!(base_name(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn uploads_of_the_largest_file_fit_into_the_body() {
        let encoded = BASE64.encode_len(FILE_LIMIT_BYTES as usize);
        assert!(encoded + 1024 < UPLOAD_BODY_BYTES);
    }
}
