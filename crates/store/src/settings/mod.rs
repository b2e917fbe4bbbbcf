//! Settings: their values in the database, and the choice between flag, environment, database and default.

mod resolve;

pub use resolve::{ResolveError, Resolved, Setting, SettingValue, Settings, Source};

use crate::connect::Store;
use crate::entities::setting::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::secrets::{Place, Rotated, Secret, Secrets};
use crate::time::now_ms;
use crate::values::{self, check_name, check_text};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::Value;
use std::collections::BTreeMap;

const TABLE: &str = "settings";
const SEALED: &str = "sealed";

/// Days that audit rows are kept.
pub const AUDIT_RETENTION_DAYS: Setting<u64> = Setting {
    key: "audit.retention_days",
    environment: "MLXM_AUDIT_RETENTION_DAYS",
    description: "Days that rows of the audit log are kept",
    needs_restart: false,
    expects: "a number of days from 1 to 3650",
    default: || 90,
    accepts: |days| (1..=3650).contains(days),
};

/// All stored settings that are not secret, by key.
pub async fn list(store: &Store) -> Result<BTreeMap<String, Value>, StoreError> {
    let rows = Entity::find()
        .filter(Column::Value.is_not_null())
        .all(store.reader())
        .await?;
    rows.into_iter()
        .filter_map(|row| Some((row.key, row.value?)))
        .map(|(key, text)| {
            let column = values::StoredValue {
                table: TABLE,
                column: "value",
                row: &key,
            };
            let value = column.json(&text)?;
            Ok((key, value))
        })
        .collect()
}

/// Stores a setting, in place of an earlier value or secret.
pub async fn set(store: &Store, key: &str, value: &Value) -> Result<(), StoreError> {
    check_name("key", key)?;
    let row = Model {
        key: key.to_owned(),
        value: Some(values::to_json("value", value)?),
        sealed: None,
        updated_at_ms: now_ms(),
    };
    let transaction = store.begin().await?;
    upsert(&transaction, row).await?;
    transaction.commit().await?;
    Ok(())
}

/// Stores a setting encrypted, in place of an earlier value or secret.
pub async fn set_secret(store: &Store, key: &str, secret: &Secret) -> Result<(), StoreError> {
    check_name("key", key)?;
    let transaction = store.begin().await?;
    // Within the transaction: a rotation of keys either comes later and sees the row, or is complete.
    let row = Model {
        key: key.to_owned(),
        value: None,
        sealed: Some(store.secrets().seal(place(key), secret)?),
        updated_at_ms: now_ms(),
    };
    upsert(&transaction, row).await?;
    transaction.commit().await?;
    Ok(())
}

/// A secret setting; `None` if it is not set.
///
/// # Errors
/// [`StoreError::Secret`] if it was encrypted with a lost key, or was changed; [`StoreError::Invalid`] for a key with NUL.
pub async fn secret(store: &Store, key: &str) -> Result<Option<Secret>, StoreError> {
    check_text("key", key)?;
    let row = Entity::find_by_id(key).one(store.reader()).await?;
    let Some(sealed) = row.and_then(|row| row.sealed) else {
        return Ok(None);
    };
    Ok(Some(store.secrets().unseal(place(key), &sealed)?))
}

/// Deletes a setting or secret; `false` if it was not set.
///
/// # Errors
/// [`StoreError::Invalid`] for a key with NUL.
pub async fn unset(store: &Store, key: &str) -> Result<bool, StoreError> {
    check_text("key", key)?;
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Key.eq(key))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected > 0)
}

async fn upsert(transaction: &DatabaseTransaction, row: Model) -> Result<(), StoreError> {
    let mut replace = OnConflict::column(Column::Key);
    replace.update_columns([Column::Value, Column::Sealed, Column::UpdatedAtMs]);
    Entity::insert(row.into_active_model())
        .on_conflict(replace)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Encrypts all secret settings with the newest key.
pub(crate) async fn reseal(
    transaction: &DatabaseTransaction,
    secrets: &Secrets,
) -> Result<Rotated, StoreError> {
    let mut rows = Entity::find()
        .filter(Column::Sealed.is_not_null())
        .all(transaction)
        .await?;
    rows.sort_unstable_by(|first, second| first.key.cmp(&second.key));
    let mut rotated = Rotated {
        encrypted: 0,
        unreadable: Vec::new(),
    };
    for row in rows {
        let place = place(&row.key);
        let Ok(secret) = secrets.unseal(place, row.sealed.as_deref().unwrap_or_default()) else {
            rotated.unreadable.push(place.to_string());
            continue;
        };
        let sealed = ActiveModel {
            sealed: sea_orm::Set(Some(secrets.seal(place, &secret)?)),
            ..Default::default()
        };
        Entity::update_many()
            .set(sealed)
            .filter(Column::Key.eq(row.key.as_str()))
            .exec(transaction)
            .await?;
        rotated.encrypted += 1;
    }
    Ok(rotated)
}

fn place(key: &str) -> Place<'_> {
    Place {
        table: TABLE,
        column: SEALED,
        row: key,
    }
}
