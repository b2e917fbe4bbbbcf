//! Aliases: other names of profiles and models.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("aliases")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("target").text().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .to_owned();
    let name = Index::create()
        .unique()
        .name("aliases_name_unique")
        .table("aliases")
        .col("name")
        .to_owned();
    vec![backend.build(&table), backend.build(&name)]
}
