//! Rows of `profiles`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "profiles")]
#[expect(clippy::struct_field_names, reason = "sea-orm requires the name Model")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub model: String,
    pub host: Option<String>,
    pub port: Option<i32>,
    pub ttl_seconds: Option<i64>,
    pub queue_timeout_seconds: Option<i64>,
    pub queue_size: Option<i64>,
    pub is_pinned: bool,
    pub auto_start: bool,
    pub service_installed: bool,
    pub log_level: Option<String>,
    pub color: i32,
    pub load_settings: String,
    pub request_settings: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
