//! Prompts: texts for messages, with `{{variables}}`.

mod template;

pub use template::variables;

use crate::connect::Store;
use crate::entities::prompt::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::time::now_ms;
use crate::values::{check_name, check_text};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use uuid::Uuid;

const NOUN: &str = "prompt";
const TABLE: &str = "prompts";

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What the user edits.
    pub config: PromptConfig,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptConfig {
    /// Name, unique for the user: letters, digits, `-` and `_`, since users type it after `/`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The text. [`variables`] lists what it has to be filled with.
    pub text: String,
}

/// Creates a prompt.
///
/// # Errors
/// [`StoreError::Conflict`] if the name is taken, [`StoreError::Invalid`] for a bad value.
pub async fn create(
    store: &Store,
    user_id: Uuid,
    config: PromptConfig,
) -> Result<Prompt, StoreError> {
    let now = now_ms();
    let prompt = Prompt {
        id: Uuid::now_v7(),
        user_id,
        config,
        created_at_ms: now,
        updated_at_ms: now,
    };
    let row = to_row(&prompt)?.into_active_model();
    let transaction = store.begin().await?;
    Entity::insert(row)
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &prompt))?;
    transaction.commit().await?;
    Ok(prompt)
}

/// A prompt by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, user_id: Uuid, id: Uuid) -> Result<Prompt, StoreError> {
    owned(store.reader(), user_id, id).await
}

/// All prompts of a user, by name: by its bytes, since databases sort text in the order of their locale.
pub async fn list(store: &Store, user_id: Uuid) -> Result<Vec<Prompt>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id))
        .all(store.reader())
        .await?;
    let mut prompts: Vec<Prompt> = rows.into_iter().map(from_row).collect();
    prompts.sort_unstable_by(|first, second| first.config.name.cmp(&second.config.name));
    Ok(prompts)
}

/// Replaces what a user edits.
///
/// # Errors
/// [`StoreError::NotFound`], and those of [`create`].
pub async fn update(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    config: PromptConfig,
) -> Result<Prompt, StoreError> {
    let transaction = store.begin().await?;
    let prompt = Prompt {
        config,
        updated_at_ms: now_ms(),
        ..owned(&transaction, user_id, id).await?
    };
    Entity::update(to_row(&prompt)?.into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &prompt))?;
    transaction.commit().await?;
    Ok(prompt)
}

/// Deletes a prompt.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(store: &Store, user_id: Uuid, id: Uuid) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user_id))
        .exec(&transaction)
        .await?;
    require_row(deleted.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

async fn owned<C: ConnectionTrait>(
    connection: &C,
    user_id: Uuid,
    id: Uuid,
) -> Result<Prompt, StoreError> {
    Entity::find_by_id(id)
        .filter(Column::UserId.eq(user_id))
        .one(connection)
        .await?
        .map(from_row)
        .ok_or_else(|| StoreError::not_found(NOUN, id))
}

fn write_error(error: DbErr, prompt: &Prompt) -> StoreError {
    let unique = [("name", prompt.config.name.clone())];
    StoreError::from_write(error, NOUN, TABLE, &unique)
}

fn to_row(prompt: &Prompt) -> Result<Model, StoreError> {
    let config = &prompt.config;
    check_name("name", &config.name)?;
    let is_command = config
        .name
        .chars()
        .all(|character| character.is_alphanumeric() || "-_".contains(character));
    if !is_command {
        return Err(StoreError::Invalid {
            field: "name",
            reason: format!(
                "`{}` must have only letters, digits, `-` and `_`",
                config.name
            ),
        });
    }
    check_text("description", &config.description)?;
    check_text("text", &config.text)?;
    Ok(Model {
        id: prompt.id,
        user_id: prompt.user_id,
        name: config.name.clone(),
        description: config.description.clone(),
        text: config.text.clone(),
        created_at_ms: prompt.created_at_ms,
        updated_at_ms: prompt.updated_at_ms,
    })
}

fn from_row(row: Model) -> Prompt {
    Prompt {
        id: row.id,
        user_id: row.user_id,
        config: PromptConfig {
            name: row.name,
            description: row.description,
            text: row.text,
        },
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    }
}
