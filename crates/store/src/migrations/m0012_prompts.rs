//! Prompts: texts for messages, with variables.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("prompts")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("description").text().not_null())
        .col(ColumnDef::new("text").text().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .to_owned();
    let name = Index::create()
        .unique()
        .name("prompts_name_unique")
        .table("prompts")
        .col("user_id")
        .col("name")
        .to_owned();
    vec![backend.build(&table), backend.build(&name)]
}
