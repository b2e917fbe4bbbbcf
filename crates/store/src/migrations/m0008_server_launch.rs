//! What a gateway needs to adopt a worker of its previous start, as JSON.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::alter()
        .table("servers")
        .add_column(ColumnDef::new("launch").text())
        .to_owned();
    vec![backend.build(&table)]
}
