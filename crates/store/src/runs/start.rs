//! The start of runs.

use super::{Entity, NOUN, Run, RunState, TABLE, from_row};
use crate::chats::{self, ChatProtocol};
use crate::connect::Store;
use crate::entities::run::{Column, Model};
use crate::entities::{chat, message};
use crate::error::StoreError;
use crate::messages::{self, Message, MessageBody, MessageState, NewMessage, Part, Role};
use crate::time::now_ms;
use crate::values::check_name;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, Set};
use uuid::Uuid;

const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// A run to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id, a new UUIDv7.
    pub id: Uuid,
    /// The gateway that it is a task of.
    pub gateway_id: Uuid,
    /// The `x-request-id` of its request.
    pub request_id: String,
    /// Name of the profile or model.
    pub model: String,
    /// The API that it uses.
    pub protocol: ChatProtocol,
    /// What it writes.
    pub target: RunTarget,
    /// A text that is new for each message of the client: a repeated one gets the first run again. It belongs to the chat in which
    /// it was used first.
    pub idempotency_key: Option<String>,
}

/// What a run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTarget {
    /// A response to a new message of the user.
    Message {
        /// The message before the new one; `None` for a new first message.
        parent_id: Option<Uuid>,
        /// The new message. Attachments must be stored already.
        content: Vec<Part>,
    },
    /// A response to a message of the user that is stored, next to the responses that it has.
    Response {
        /// The message of the user.
        parent_id: Uuid,
    },
    /// More of a response.
    Continue {
        /// The response.
        message_id: Uuid,
    },
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedRun {
    /// The run.
    pub run: Run,
    /// The message before the response; `None` if it is the first of its branch.
    pub parent: Option<Message>,
    /// The response: empty, or with the text that the run continues.
    pub response: Message,
    /// Whether the run is new: `false` if a run had the idempotency key.
    pub is_new: bool,
}

/// Stores a run with its messages in one transaction. The open branch ends with the response.
///
/// # Errors
/// [`StoreError::NotFound`] for an unknown chat, message or attachment, [`StoreError::Busy`] while a run writes the response, or
/// the message before a new one, [`StoreError::Followed`] if the response to continue has later messages,
/// [`StoreError::Invalid`] for a target of another role, and [`StoreError::Conflict`] for an idempotency key of another chat.
pub async fn start(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    new: NewRun,
) -> Result<StartedRun, StoreError> {
    check_name("model", &new.model)?;
    check_name("request_id", &new.request_id)?;
    let key = new.idempotency_key.clone();
    if let Some(key) = &key {
        check_name(IDEMPOTENCY_KEY, key)?;
        if let Some(started) = repeated(store, user_id, chat_id, key).await? {
            return Ok(started);
        }
    }
    match (insert(store, user_id, chat_id, new).await, &key) {
        // Another request with the key was faster.
        (
            Err(StoreError::Conflict {
                field: IDEMPOTENCY_KEY,
                ..
            }),
            Some(key),
        ) => repeated(store, user_id, chat_id, key)
            .await?
            .ok_or_else(|| StoreError::not_found(NOUN, key)),
        (result, _) => result,
    }
}

/// The run of a chat that has an idempotency key.
async fn repeated(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    key: &str,
) -> Result<Option<StartedRun>, StoreError> {
    let reader = store.reader();
    let row = Entity::find()
        .filter(Column::UserId.eq(user_id))
        .filter(Column::IdempotencyKey.eq(key))
        .one(reader)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if row.chat_id != chat_id {
        return Err(StoreError::Conflict {
            noun: NOUN,
            field: IDEMPOTENCY_KEY,
            value: key.to_owned(),
        });
    }
    let run = from_row(row)?;
    let response = messages::find(reader, run.chat_id, run.message_id).await?;
    let parent = match response.parent_id {
        Some(parent_id) => Some(messages::find(reader, run.chat_id, parent_id).await?),
        None => None,
    };
    Ok(Some(StartedRun {
        run,
        parent,
        response,
        is_new: false,
    }))
}

async fn insert(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    new: NewRun,
) -> Result<StartedRun, StoreError> {
    let transaction = store.begin().await?;
    let chat = chats::owned_for_change(&transaction, user_id, chat_id).await?;
    let now = now_ms();
    let run_id = new.id;
    let (parent, response) = target(&transaction, &chat, run_id, &new).await?;
    let row = Model {
        id: run_id,
        user_id,
        chat_id,
        message_id: response.id,
        gateway_id: new.gateway_id,
        request_id: new.request_id,
        model: new.model,
        protocol: new.protocol.as_str().to_owned(),
        state: RunState::Waiting.as_str().to_owned(),
        idempotency_key: new.idempotency_key,
        started_at_ms: now,
        updated_at_ms: now,
        finished_at_ms: None,
    };
    let key = row.idempotency_key.clone().unwrap_or_default();
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| {
            let unique = [
                ("message_id", response.id.to_string()),
                (IDEMPOTENCY_KEY, key),
            ];
            match StoreError::from_write(error, NOUN, TABLE, &unique) {
                StoreError::Conflict {
                    field: "message_id",
                    ..
                } => StoreError::Busy {
                    noun: messages::NOUN,
                    id: response.id,
                },
                error => error,
            }
        })?;
    chats::open_branch(&transaction, chat_id, Some(response.id)).await?;
    chats::record_activity(&transaction, chat_id).await?;
    transaction.commit().await?;
    Ok(StartedRun {
        run: from_row(row)?,
        parent,
        response,
        is_new: true,
    })
}

/// Stores the messages of a new run; returns the response with the message before it.
async fn target(
    transaction: &DatabaseTransaction,
    chat: &chat::Model,
    run_id: Uuid,
    new: &NewRun,
) -> Result<(Option<Message>, Message), StoreError> {
    let parent = match &new.target {
        RunTarget::Message { parent_id, content } => {
            if let Some(parent_id) = parent_id {
                let parent = messages::find(transaction, chat.id, *parent_id).await?;
                if parent.state == MessageState::Running {
                    return Err(StoreError::Busy {
                        noun: messages::NOUN,
                        id: parent.id,
                    });
                }
            }
            let message = NewMessage {
                parent_id: *parent_id,
                role: Role::User,
                body: MessageBody {
                    content: content.clone(),
                    ..MessageBody::default()
                },
                model: None,
            };
            let message = message.into_message(chat.id);
            insert_message(transaction, chat, &message).await?;
            message
        }
        RunTarget::Response { parent_id } => {
            let parent = messages::find(transaction, chat.id, *parent_id).await?;
            check_role(&parent, Role::User)?;
            parent
        }
        RunTarget::Continue { message_id } => {
            return continued(transaction, chat, *message_id, run_id, &new.model).await;
        }
    };
    let response = NewMessage {
        parent_id: Some(parent.id),
        role: Role::Assistant,
        body: MessageBody::default(),
        model: Some(new.model.clone()),
    };
    let response = Message {
        run_id: Some(run_id),
        state: MessageState::Running,
        ..response.into_message(chat.id)
    };
    insert_message(transaction, chat, &response).await?;
    Ok((Some(parent), response))
}

async fn insert_message(
    transaction: &DatabaseTransaction,
    chat: &chat::Model,
    message: &Message,
) -> Result<(), StoreError> {
    let stored = std::slice::from_ref(message);
    messages::insert_all(transaction, chat.user_id, chat.is_temporary, stored).await
}

/// Makes a response one that a run writes; returns it with the message before it.
async fn continued(
    transaction: &DatabaseTransaction,
    chat: &chat::Model,
    message_id: Uuid,
    run_id: Uuid,
    model: &str,
) -> Result<(Option<Message>, Message), StoreError> {
    let response = messages::find(transaction, chat.id, message_id).await?;
    check_role(&response, Role::Assistant)?;
    if response.state == MessageState::Running {
        return Err(StoreError::Busy {
            noun: messages::NOUN,
            id: message_id,
        });
    }
    check_last(transaction, &response).await?;
    let response = Message {
        model: Some(model.to_owned()),
        run_id: Some(run_id),
        seq: 0,
        state: MessageState::Running,
        updated_at_ms: now_ms(),
        // How the earlier run has ended. The receipt stays until there is another one: the text is that of the earlier run.
        body: MessageBody {
            finish_reason: None,
            problem: None,
            usage: None,
            ..response.body
        },
        ..response
    };
    let columns = message::ActiveModel {
        finish_reason: Set(None),
        problem: Set(None),
        usage: Set(None),
        model: Set(response.model.clone()),
        run_id: Set(response.run_id),
        seq: Set(0),
        state: Set(response.state.as_str().to_owned()),
        updated_at_ms: Set(response.updated_at_ms),
        ..Default::default()
    };
    message::Entity::update_many()
        .set(columns)
        .filter(message::Column::Id.eq(message_id))
        .exec(transaction)
        .await?;
    let parent = match response.parent_id {
        Some(parent_id) => Some(messages::find(transaction, chat.id, parent_id).await?),
        None => None,
    };
    Ok((parent, response))
}

/// What follows a response was written for the text that it has.
async fn check_last(
    transaction: &DatabaseTransaction,
    message: &Message,
) -> Result<(), StoreError> {
    let next = message::Entity::find()
        .filter(message::Column::ChatId.eq(message.chat_id))
        .filter(message::Column::ParentId.eq(message.id))
        .filter(message::Column::DeletedAtMs.is_null())
        .one(transaction)
        .await?;
    if next.is_none() {
        return Ok(());
    }
    Err(StoreError::Followed {
        noun: messages::NOUN,
        id: message.id,
    })
}

fn check_role(message: &Message, role: Role) -> Result<(), StoreError> {
    if message.role == role {
        return Ok(());
    }
    Err(StoreError::Invalid {
        field: "message",
        reason: format!(
            "{} has the role `{}`, and must have `{role}`",
            message.id, message.role
        ),
    })
}
