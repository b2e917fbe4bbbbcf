//! Rows of `chats`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "chats")]
#[expect(clippy::struct_field_names, reason = "sea-orm requires the name Model")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub title: String,
    pub is_title_automatic: bool,
    pub model: Option<String>,
    pub protocol: String,
    pub persona_id: Option<Uuid>,
    pub system_prompt: Option<String>,
    pub settings: String,
    pub is_pinned: bool,
    pub is_temporary: bool,
    pub leaf_id: Option<Uuid>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub active_at_ms: i64,
    pub deleted_at_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
