//! Profiles: saved configurations of a model.

mod settings;

pub use settings::{LoadSettings, RequestSettings, Thinking};

use crate::connect::Store;
use crate::entities::profile::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::time::now_ms;
use crate::values::{self, check_name, check_text, signed, to_json};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

const NOUN: &str = "profile";
const TABLE: &str = "profiles";

/// Profiles have the colors 1 to 8.
const COLORS: u8 = 8;

/// A profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its id.
    pub id: Uuid,
    /// What the user edits.
    pub config: ProfileConfig,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileConfig {
    /// Unique name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Repository name or path of the model.
    pub model: String,
    /// Address of the profile's own port; `None` is the gateway's.
    pub host: Option<String>,
    /// The profile's own port, unique.
    pub port: Option<u16>,
    /// Seconds without requests after which the worker stops: 0 at once, -1 never, `None` the gateway's default.
    pub ttl_seconds: Option<i64>,
    /// Seconds that a request waits for the model.
    pub queue_timeout_seconds: Option<u64>,
    /// Requests that wait.
    pub queue_size: Option<u64>,
    /// Whether its worker is never evicted.
    pub is_pinned: bool,
    /// Whether it is started with the gateway.
    pub auto_start: bool,
    /// Whether it is installed as a service of its own.
    pub service_installed: bool,
    /// Log level of its worker.
    pub log_level: Option<String>,
    /// Color on the page, from 1 to 8. A stored profile has one; without one, a new profile gets the color that is used least,
    /// and a changed one keeps its own.
    pub color: Option<u8>,
    /// Settings of the worker.
    pub load: LoadSettings,
    /// Defaults of requests.
    pub request: RequestSettings,
}

/// Creates a profile.
///
/// # Errors
/// [`StoreError::Conflict`] if the name or the port is taken, [`StoreError::Invalid`] for a bad value.
pub async fn create(store: &Store, mut config: ProfileConfig) -> Result<Profile, StoreError> {
    let transaction = store.begin().await?;
    if config.color.is_none() {
        config.color = Some(least_used_color(&transaction).await?);
    }
    let now = now_ms();
    let profile = Profile {
        id: Uuid::now_v7(),
        config,
        created_at_ms: now,
        updated_at_ms: now,
    };
    let row = to_row(&profile)?.into_active_model();
    Entity::insert(row)
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &profile))?;
    transaction.commit().await?;
    Ok(profile)
}

/// The first of the colors that the fewest profiles have.
async fn least_used_color(transaction: &DatabaseTransaction) -> Result<u8, StoreError> {
    let used: Vec<i32> = Entity::find()
        .select_only()
        .column(Column::Color)
        .into_tuple()
        .all(transaction)
        .await?;
    let uses = |color: &u8| {
        used.iter()
            .filter(|used| **used == i32::from(*color))
            .count()
    };
    Ok((1..=COLORS).min_by_key(uses).unwrap_or(1))
}

/// Replaces the configuration of a profile.
///
/// # Errors
/// [`StoreError::NotFound`], and those of [`create`].
pub async fn update(
    store: &Store,
    id: Uuid,
    mut config: ProfileConfig,
) -> Result<Profile, StoreError> {
    let transaction = store.begin().await?;
    let Some(existing) = Entity::find_by_id(id).one(&transaction).await? else {
        return Err(StoreError::not_found(NOUN, id));
    };
    config.color = config.color.or(u8::try_from(existing.color).ok());
    let profile = Profile {
        id,
        config,
        created_at_ms: existing.created_at_ms,
        updated_at_ms: now_ms(),
    };
    Entity::update(to_row(&profile)?.into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &profile))?;
    transaction.commit().await?;
    Ok(profile)
}

/// Deletes a profile. Servers started from it keep running without one.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(store: &Store, id: Uuid) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    require_row(deleted.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

/// A profile by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, id: Uuid) -> Result<Profile, StoreError> {
    match Entity::find_by_id(id).one(store.reader()).await? {
        Some(row) => from_row(row),
        None => Err(StoreError::not_found(NOUN, id)),
    }
}

/// A profile by its exact name.
///
/// # Errors
/// [`StoreError::Invalid`] for a name with NUL.
pub async fn find(store: &Store, name: &str) -> Result<Option<Profile>, StoreError> {
    check_text("name", name)?;
    let row = Entity::find()
        .filter(Column::Name.eq(name))
        .one(store.reader())
        .await?;
    row.map(from_row).transpose()
}

/// All profiles, by creation time.
pub async fn list(store: &Store) -> Result<Vec<Profile>, StoreError> {
    let rows = Entity::find()
        .order_by_asc(Column::Id)
        .all(store.reader())
        .await?;
    rows.into_iter().map(from_row).collect()
}

fn write_error(error: DbErr, profile: &Profile) -> StoreError {
    let port = profile.config.port.unwrap_or_default();
    let unique = [
        ("name", profile.config.name.clone()),
        ("port", port.to_string()),
    ];
    StoreError::from_write(error, NOUN, TABLE, &unique)
}

fn to_row(profile: &Profile) -> Result<Model, StoreError> {
    let config = &profile.config;
    check_name("name", &config.name)?;
    check_name("model", &config.model)?;
    check_text("description", &config.description)?;
    check_text("host", config.host.as_deref().unwrap_or_default())?;
    check_text("log_level", config.log_level.as_deref().unwrap_or_default())?;
    if config.port == Some(0) {
        return Err(invalid("port", "must be from 1 to 65535, or absent"));
    }
    if config.ttl_seconds.is_some_and(|seconds| seconds < -1) {
        return Err(invalid(
            "ttl_seconds",
            "must be -1 (never stop), 0 (stop when idle) or more",
        ));
    }
    let color = config.color.unwrap_or(1);
    if !(1..=COLORS).contains(&color) {
        return Err(invalid("color", "must be from 1 to 8"));
    }
    Ok(Model {
        id: profile.id,
        name: config.name.clone(),
        description: config.description.clone(),
        model: config.model.clone(),
        host: config.host.clone(),
        port: config.port.map(i32::from),
        ttl_seconds: config.ttl_seconds,
        queue_timeout_seconds: config
            .queue_timeout_seconds
            .map(|seconds| signed("queue_timeout_seconds", seconds))
            .transpose()?,
        queue_size: config
            .queue_size
            .map(|size| signed("queue_size", size))
            .transpose()?,
        is_pinned: config.is_pinned,
        auto_start: config.auto_start,
        service_installed: config.service_installed,
        log_level: config.log_level.clone(),
        color: i32::from(color),
        load_settings: to_json("load_settings", &config.load)?,
        request_settings: to_json("request_settings", &config.request)?,
        created_at_ms: profile.created_at_ms,
        updated_at_ms: profile.updated_at_ms,
    })
}

fn invalid(field: &'static str, reason: &str) -> StoreError {
    StoreError::Invalid {
        field,
        reason: reason.to_owned(),
    }
}

fn from_row(row: Model) -> Result<Profile, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    let config = ProfileConfig {
        port: row
            .port
            .map(|port| column("port").unsigned(i64::from(port)))
            .transpose()?,
        queue_timeout_seconds: row
            .queue_timeout_seconds
            .map(|seconds| column("queue_timeout_seconds").unsigned(seconds))
            .transpose()?,
        queue_size: row
            .queue_size
            .map(|size| column("queue_size").unsigned(size))
            .transpose()?,
        color: Some(column("color").unsigned(i64::from(row.color))?),
        load: column("load_settings").json(&row.load_settings)?,
        request: column("request_settings").json(&row.request_settings)?,
        name: row.name,
        description: row.description,
        model: row.model,
        host: row.host,
        ttl_seconds: row.ttl_seconds,
        is_pinned: row.is_pinned,
        auto_start: row.auto_start,
        service_installed: row.service_installed,
        log_level: row.log_level,
    };
    Ok(Profile {
        id,
        config,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    })
}
