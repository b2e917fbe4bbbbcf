//! Messages, and the attachments that they refer to.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let mut chat = ForeignKey::create();
    chat.from("messages", "chat_id")
        .to("chats", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let messages = Table::create()
        .table("messages")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("chat_id").uuid().not_null())
        // Not a foreign key: SQLite limits how deep deletions cascade, and a branch is deeper.
        .col(ColumnDef::new("parent_id").uuid())
        .col(ColumnDef::new("role").text().not_null())
        .col(ColumnDef::new("content").text().not_null())
        .col(ColumnDef::new("reasoning").text())
        .col(ColumnDef::new("tool_calls").text())
        .col(ColumnDef::new("finish_reason").text())
        .col(ColumnDef::new("problem").text())
        .col(ColumnDef::new("usage").text())
        .col(ColumnDef::new("receipt").text())
        .col(ColumnDef::new("model").text())
        // Not a foreign key: a run refers to its message.
        .col(ColumnDef::new("run_id").uuid())
        .col(ColumnDef::new("seq").big_integer().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .col(ColumnDef::new("deleted_at_ms").big_integer())
        // Of those that no run writes: versions of responses by a user.
        .col(ColumnDef::new("idempotency_key").text())
        .foreign_key(&mut chat)
        .to_owned();
    let order = Index::create()
        .name("messages_chat_id_id")
        .table("messages")
        .col("chat_id")
        .col("id")
        .to_owned();
    let deleted = Index::create()
        .name("messages_deleted_at_ms")
        .table("messages")
        .col("deleted_at_ms")
        .to_owned();
    let key = Index::create()
        .unique()
        .name("messages_idempotency_key_unique")
        .table("messages")
        .col("chat_id")
        .col("idempotency_key")
        .to_owned();
    let mut message = ForeignKey::create();
    message
        .from("message_attachments", "message_id")
        .to("messages", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let mut attachment = ForeignKey::create();
    attachment
        .from("message_attachments", ("user_id", "hash"))
        .to("attachments", ("user_id", "hash"));
    let references = Table::create()
        .table("message_attachments")
        .col(ColumnDef::new("message_id").uuid().not_null())
        .col(ColumnDef::new("hash").text().not_null())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .primary_key(Index::create().col("message_id").col("hash"))
        .foreign_key(&mut message)
        .foreign_key(&mut attachment)
        .to_owned();
    let attachment = Index::create()
        .name("message_attachments_user_id_hash")
        .table("message_attachments")
        .col("user_id")
        .col("hash")
        .to_owned();
    vec![
        backend.build(&messages),
        backend.build(&order),
        backend.build(&deleted),
        backend.build(&key),
        backend.build(&references),
        backend.build(&attachment),
    ]
}
