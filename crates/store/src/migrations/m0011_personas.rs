//! Personas. Three of them come with the program.

use crate::OWNER;
use crate::time::now_ms;
use sea_orm::sea_query::{ColumnDef, Expr, Index, Query, Table};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

/// Name, description and system prompt.
const BUILT_IN: [[&str; 3]; 3] = [
    [
        "Analyst",
        "Examines data and arguments step by step",
        "You are a careful analyst. Separate facts, assumptions and conclusions. Show each step of a calculation with its \
         units, and check the result in a second way. If data is missing, say which, and what would change with it. Use \
         tables for comparisons.",
    ],
    [
        "Coder",
        "Writes, explains and reviews code",
        "You are an experienced software engineer. Write complete, idiomatic code that handles errors, in code blocks with \
         their language. Keep to the style and the libraries of the code that you are given. Explain decisions briefly. \
         When you fix a bug, name its cause first. If a requirement is unclear, state the assumption that you make.",
    ],
    [
        "Writer",
        "Writes and edits texts",
        "You are an editor. Write clear, concrete sentences without filler. Keep the meaning, the language and the voice of \
         texts that you edit, and list the important changes after the text. Ask about the audience only if the text \
         depends on it.",
    ],
];

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("personas")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("user_id").uuid().not_null())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("description").text().not_null())
        .col(ColumnDef::new("system_prompt").text().not_null())
        .col(ColumnDef::new("settings").text().not_null())
        .col(ColumnDef::new("is_built_in").boolean().not_null())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("updated_at_ms").big_integer().not_null())
        .to_owned();
    let name = Index::create()
        .unique()
        .name("personas_name_unique")
        .table("personas")
        .col("user_id")
        .col("name")
        .to_owned();
    let mut built_in = Query::insert();
    built_in.into_table("personas").columns([
        "id",
        "user_id",
        "name",
        "description",
        "system_prompt",
        "settings",
        "is_built_in",
        "created_at_ms",
        "updated_at_ms",
    ]);
    let now = now_ms();
    for [name, description, system_prompt] in BUILT_IN {
        built_in.values_panic([
            Expr::val(Uuid::now_v7()),
            Expr::val(OWNER),
            Expr::val(name),
            Expr::val(description),
            Expr::val(system_prompt),
            Expr::val("{}"),
            Expr::val(true),
            Expr::val(now),
            Expr::val(now),
        ]);
    }
    vec![
        backend.build(&table),
        backend.build(&name),
        backend.build(&built_in),
    ]
}
