//! Runs. At most one that has not ended writes a message.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let mut chat = ForeignKey::create();
    chat.from("runs", "chat_id")
        .to("chats", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let mut message = ForeignKey::create();
    message
        .from("runs", "message_id")
        .to("messages", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let table = Table::create()
        .table("runs")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("chat_id").uuid().not_null())
        .col(ColumnDef::new("message_id").uuid().not_null())
        // Not a foreign key: the row outlives its gateway.
        .col(ColumnDef::new("gateway_id").uuid().not_null())
        .col(ColumnDef::new("request_id").text().not_null())
        .col(ColumnDef::new("model").text().not_null())
        .col(ColumnDef::new("protocol").text().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("idempotency_key").text())
        .col(ColumnDef::new("started_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .col(ColumnDef::new("finished_at_ms").big_integer())
        .foreign_key(&mut chat)
        .foreign_key(&mut message)
        .to_owned();
    let key = Index::create()
        .unique()
        .name("runs_idempotency_key_unique")
        .table("runs")
        .col("user_id")
        .col("idempotency_key")
        .to_owned();
    let chat = Index::create()
        .name("runs_chat_id")
        .table("runs")
        .col("chat_id")
        .to_owned();
    let message = Index::create()
        .name("runs_message_id")
        .table("runs")
        .col("message_id")
        .to_owned();
    let active = "CREATE UNIQUE INDEX runs_message_id_unique ON runs (message_id) WHERE finished_at_ms IS NULL";
    vec![
        backend.build(&table),
        backend.build(&key),
        backend.build(&chat),
        backend.build(&message),
        Statement::from_string(backend, active),
    ]
}
