//! Settings. Exactly one of `value` (JSON) and `sealed` (encrypted) is present.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("settings")
        .col(ColumnDef::new("key").text().not_null().primary_key())
        .col(ColumnDef::new("value").text())
        .col(ColumnDef::new("sealed").blob())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .to_owned();
    vec![backend.build(&table)]
}
