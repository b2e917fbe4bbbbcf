//! Profiles: the settings of a model and of its requests.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("profiles")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("description").text().not_null())
        .col(ColumnDef::new("model").text().not_null())
        .col(ColumnDef::new("host").text())
        .col(ColumnDef::new("port").integer())
        .col(ColumnDef::new("ttl_seconds").big_integer())
        .col(ColumnDef::new("queue_timeout_seconds").big_integer())
        .col(ColumnDef::new("queue_size").big_integer())
        .col(ColumnDef::new("is_pinned").boolean().not_null())
        .col(ColumnDef::new("auto_start").boolean().not_null())
        .col(ColumnDef::new("service_installed").boolean().not_null())
        .col(ColumnDef::new("log_level").text())
        .col(ColumnDef::new("load_settings").text().not_null())
        .col(ColumnDef::new("request_settings").text().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .to_owned();
    let name = Index::create()
        .unique()
        .name("profiles_name_unique")
        .table("profiles")
        .col("name")
        .to_owned();
    let port = Index::create()
        .unique()
        .name("profiles_port_unique")
        .table("profiles")
        .col("port")
        .to_owned();
    vec![
        backend.build(&table),
        backend.build(&name),
        backend.build(&port),
    ]
}
