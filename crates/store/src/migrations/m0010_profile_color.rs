//! The color of a profile's model on the page, from 1 to 8. Existing profiles get them in turn, in the order of their creation.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::alter()
        .table("profiles")
        .add_column(ColumnDef::new("color").integer().not_null().default(1_i32))
        .to_owned();
    // Ids are in the order of creation.
    let assign = "UPDATE profiles SET color = \
        1 + (SELECT COUNT(*) FROM profiles AS earlier WHERE earlier.id < profiles.id) % 8";
    vec![
        backend.build(&table),
        Statement::from_string(backend, assign),
    ]
}
