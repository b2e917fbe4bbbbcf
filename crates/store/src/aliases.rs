//! Aliases: other names for profiles and models.

use crate::connect::Store;
use crate::entities::alias::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::time::now_ms;
use crate::values::{check_name, check_text};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Its id.
    pub id: Uuid,
    /// The unique name that clients send; a glob such as `claude-haiku-*` is allowed.
    pub name: String,
    /// Name of a profile or model.
    pub target: String,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// Creates an alias, or changes the target of the one with this name.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad name or target.
pub async fn set(store: &Store, name: &str, target: &str) -> Result<Alias, StoreError> {
    check_name("name", name)?;
    check_name("target", target)?;
    let now = now_ms();
    let transaction = store.begin().await?;
    let existing = Entity::find()
        .filter(Column::Name.eq(name))
        .one(&transaction)
        .await?;
    let alias = Alias {
        id: existing.as_ref().map_or_else(Uuid::now_v7, |row| row.id),
        name: name.to_owned(),
        target: target.to_owned(),
        created_at_ms: existing.as_ref().map_or(now, |row| row.created_at_ms),
        updated_at_ms: now,
    };
    let row = to_row(&alias).into_active_model();
    if existing.is_some() {
        Entity::update(row.reset_all())
            .exec_without_returning(&transaction)
            .await?;
    } else {
        Entity::insert(row)
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| {
                StoreError::from_write(error, "alias", "aliases", &[("name", alias.name.clone())])
            })?;
    }
    transaction.commit().await?;
    Ok(alias)
}

/// Deletes an alias by its name.
///
/// # Errors
/// [`StoreError::NotFound`], and [`StoreError::Invalid`] for a name with NUL.
pub async fn delete(store: &Store, name: &str) -> Result<(), StoreError> {
    check_text("name", name)?;
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Name.eq(name))
        .exec(&transaction)
        .await?;
    require_row(deleted.rows_affected, "alias", name)?;
    transaction.commit().await?;
    Ok(())
}

/// All aliases, by name: by its bytes, since databases sort text in the order of their locale.
pub async fn list(store: &Store) -> Result<Vec<Alias>, StoreError> {
    let rows = Entity::find().all(store.reader()).await?;
    let mut aliases: Vec<Alias> = rows.into_iter().map(from_row).collect();
    aliases.sort_unstable_by(|first, second| first.name.cmp(&second.name));
    Ok(aliases)
}

fn to_row(alias: &Alias) -> Model {
    Model {
        id: alias.id,
        name: alias.name.clone(),
        target: alias.target.clone(),
        created_at_ms: alias.created_at_ms,
        updated_at_ms: alias.updated_at_ms,
    }
}

fn from_row(row: Model) -> Alias {
    Alias {
        id: row.id,
        name: row.name,
        target: row.target,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    }
}
