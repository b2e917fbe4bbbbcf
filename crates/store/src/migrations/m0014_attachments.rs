//! Attachments, with their bytes in a table of their own.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let attachments = Table::create()
        .table("attachments")
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("hash").text().not_null())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("media_type").text().not_null())
        .col(ColumnDef::new("size_bytes").big_integer().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("uploaded_at_ms").big_integer().not_null())
        .primary_key(Index::create().col("user_id").col("hash"))
        .to_owned();
    let mut attachment = ForeignKey::create();
    attachment
        .from("attachment_contents", ("user_id", "hash"))
        .to("attachments", ("user_id", "hash"))
        .on_delete(ForeignKeyAction::Cascade);
    let contents = Table::create()
        .table("attachment_contents")
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("hash").text().not_null())
        .col(ColumnDef::new("content").blob().not_null())
        .primary_key(Index::create().col("user_id").col("hash"))
        .foreign_key(&mut attachment)
        .to_owned();
    vec![backend.build(&attachments), backend.build(&contents)]
}
