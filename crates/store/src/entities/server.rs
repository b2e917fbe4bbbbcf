//! Rows of `servers`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
#[expect(clippy::struct_field_names, reason = "sea-orm requires the name Model")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub gateway_id: Uuid,
    pub profile_id: Option<Uuid>,
    pub model: String,
    pub pid: i64,
    pub process_started_at_ms: i64,
    pub port: Option<i32>,
    pub started_at_ms: i64,
    pub state: String,
    pub state_detail: Option<String>,
    pub last_health_at_ms: Option<i64>,
    pub restarts: i64,
    pub launch: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
