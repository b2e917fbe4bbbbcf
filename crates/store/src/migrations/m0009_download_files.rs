//! Which files of a repository are downloaded: patterns as JSON, or null for those that are needed to run the model.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::alter()
        .table("downloads")
        .add_column(ColumnDef::new("files").text())
        .to_owned();
    vec![backend.build(&table)]
}
