//! Chats and their tags.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let mut persona = ForeignKey::create();
    persona
        .from("chats", "persona_id")
        .to("personas", "id")
        .on_delete(ForeignKeyAction::SetNull);
    let chats = Table::create()
        .table("chats")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("title").text().not_null())
        .col(ColumnDef::new("is_title_automatic").boolean().not_null())
        .col(ColumnDef::new("model").text())
        .col(ColumnDef::new("protocol").text().not_null())
        .col(ColumnDef::new("persona_id").uuid())
        .col(ColumnDef::new("system_prompt").text())
        .col(ColumnDef::new("settings").text().not_null())
        .col(ColumnDef::new("is_pinned").boolean().not_null())
        .col(ColumnDef::new("is_temporary").boolean().not_null())
        // Not a foreign key: messages are inserted after their chat.
        .col(ColumnDef::new("leaf_id").uuid())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .col(ColumnDef::new("active_at_ms").big_integer().not_null())
        .col(ColumnDef::new("deleted_at_ms").big_integer())
        .foreign_key(&mut persona)
        .to_owned();
    let order = Index::create()
        .name("chats_user_id_order")
        .table("chats")
        .col("user_id")
        .col("is_pinned")
        .col("active_at_ms")
        .col("id")
        .to_owned();
    let deleted = Index::create()
        .name("chats_deleted_at_ms")
        .table("chats")
        .col("deleted_at_ms")
        .to_owned();
    let mut chat = ForeignKey::create();
    chat.from("chat_tags", "chat_id")
        .to("chats", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let tags = Table::create()
        .table("chat_tags")
        .col(ColumnDef::new("chat_id").uuid().not_null())
        .col(ColumnDef::new("tag").text().not_null())
        .primary_key(Index::create().col("chat_id").col("tag"))
        .foreign_key(&mut chat)
        .to_owned();
    let tag = Index::create()
        .name("chat_tags_tag")
        .table("chat_tags")
        .col("tag")
        .to_owned();
    vec![
        backend.build(&chats),
        backend.build(&order),
        backend.build(&deleted),
        backend.build(&tags),
        backend.build(&tag),
    ]
}
