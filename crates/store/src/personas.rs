//! Personas: a system prompt with settings, for chats. Three come with the program; users change and delete them like theirs.

use crate::connect::Store;
use crate::entities::persona::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::profiles::RequestSettings;
use crate::time::now_ms;
use crate::values::{self, check_name, check_text, to_json};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use uuid::Uuid;

const NOUN: &str = "persona";
const TABLE: &str = "personas";

/// A persona.
#[derive(Debug, Clone, PartialEq)]
pub struct Persona {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What the user edits.
    pub config: PersonaConfig,
    /// Whether it came with the program.
    pub is_built_in: bool,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a persona.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PersonaConfig {
    /// Name, unique for the user.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The system prompt.
    pub system_prompt: String,
    /// Settings of requests.
    pub settings: RequestSettings,
}

/// Creates a persona.
///
/// # Errors
/// [`StoreError::Conflict`] if the name is taken, [`StoreError::Invalid`] for a bad value.
pub async fn create(
    store: &Store,
    user_id: Uuid,
    config: PersonaConfig,
) -> Result<Persona, StoreError> {
    let now = now_ms();
    let persona = Persona {
        id: Uuid::now_v7(),
        user_id,
        config,
        is_built_in: false,
        created_at_ms: now,
        updated_at_ms: now,
    };
    let row = to_row(&persona)?.into_active_model();
    let transaction = store.begin().await?;
    Entity::insert(row)
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &persona))?;
    transaction.commit().await?;
    Ok(persona)
}

/// A persona by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, user_id: Uuid, id: Uuid) -> Result<Persona, StoreError> {
    owned(store.reader(), user_id, id).await
}

/// All personas of a user, by name: by its bytes, since databases sort text in the order of their locale.
pub async fn list(store: &Store, user_id: Uuid) -> Result<Vec<Persona>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id))
        .all(store.reader())
        .await?;
    let mut personas = rows
        .into_iter()
        .map(from_row)
        .collect::<Result<Vec<_>, _>>()?;
    personas.sort_unstable_by(|first, second| first.config.name.cmp(&second.config.name));
    Ok(personas)
}

/// Replaces what a user edits.
///
/// # Errors
/// [`StoreError::NotFound`], and those of [`create`].
pub async fn update(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    config: PersonaConfig,
) -> Result<Persona, StoreError> {
    let transaction = store.begin().await?;
    let persona = Persona {
        config,
        updated_at_ms: now_ms(),
        ..owned(&transaction, user_id, id).await?
    };
    Entity::update(to_row(&persona)?.into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &persona))?;
    transaction.commit().await?;
    Ok(persona)
}

/// Deletes a persona. Chats that have it have none then.
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

/// A persona that a user may see.
pub(crate) async fn owned<C: ConnectionTrait>(
    connection: &C,
    user_id: Uuid,
    id: Uuid,
) -> Result<Persona, StoreError> {
    let row = Entity::find_by_id(id)
        .filter(Column::UserId.eq(user_id))
        .one(connection)
        .await?;
    match row {
        Some(row) => from_row(row),
        None => Err(StoreError::not_found(NOUN, id)),
    }
}

fn write_error(error: DbErr, persona: &Persona) -> StoreError {
    let unique = [("name", persona.config.name.clone())];
    StoreError::from_write(error, NOUN, TABLE, &unique)
}

fn to_row(persona: &Persona) -> Result<Model, StoreError> {
    let config = &persona.config;
    check_name("name", &config.name)?;
    check_text("description", &config.description)?;
    check_text("system_prompt", &config.system_prompt)?;
    Ok(Model {
        id: persona.id,
        user_id: persona.user_id,
        name: config.name.clone(),
        description: config.description.clone(),
        system_prompt: config.system_prompt.clone(),
        settings: to_json("settings", &config.settings)?,
        is_built_in: persona.is_built_in,
        created_at_ms: persona.created_at_ms,
        updated_at_ms: persona.updated_at_ms,
    })
}

fn from_row(row: Model) -> Result<Persona, StoreError> {
    let settings = values::StoredValue {
        table: TABLE,
        column: "settings",
        row: &row.id,
    };
    Ok(Persona {
        id: row.id,
        user_id: row.user_id,
        config: PersonaConfig {
            settings: settings.json(&row.settings)?,
            name: row.name,
            description: row.description,
            system_prompt: row.system_prompt,
        },
        is_built_in: row.is_built_in,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    })
}
