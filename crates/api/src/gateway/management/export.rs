//! Exports of the audit log, read and sent a page at a time.

use std::fmt::Display;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use mlxm_store::requests::{self, RequestFilter};
use mlxm_store::{Store, StoreError};

use crate::wire::audit::{AuditRow, ExportFormat};

/// Rows that are in memory at once.
const PAGE_ROWS: u64 = 1000;

const COLUMNS: &str = "id,gateway_id,request_id,at_ms,endpoint,model,served_by,status,error_kind,finish_reason,\
     prompt_tokens,cached_tokens,completion_tokens,queue_ms,time_to_first_token_ms,duration_ms\r\n";

/// What is left to send.
struct Export {
    store: Store,
    /// Its `after` is the end of the last page.
    filter: RequestFilter,
    /// Rows that may still be sent.
    left: u64,
    format: ExportFormat,
    is_first: bool,
}

/// The rows that a filter selects, at most `limit` if there is one.
pub fn response(
    store: Store,
    filter: RequestFilter,
    limit: Option<u64>,
    format: ExportFormat,
) -> Response {
    let export = Export {
        store,
        filter,
        left: limit.unwrap_or(u64::MAX),
        format,
        is_first: true,
    };
    let (media_type, name) = match format {
        ExportFormat::Csv => ("text/csv; charset=utf-8", "audit.csv"),
        ExportFormat::Jsonl => ("application/jsonl", "audit.jsonl"),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    let pages = stream::try_unfold(export, |mut export| async move {
        let page = export.next_page().await?;
        Ok::<_, StoreError>(page.map(|page| (page, export)))
    });
    (headers, Body::from_stream(pages)).into_response()
}

impl Export {
    /// The text of the next page; `None` after the last.
    async fn next_page(&mut self) -> Result<Option<String>, StoreError> {
        self.filter.limit = self.left.min(PAGE_ROWS);
        let rows = if self.filter.limit == 0 {
            Vec::new()
        } else {
            requests::list(&self.store, &self.filter).await?
        };
        if let Some(last) = rows.last() {
            self.filter.after = Some(last.position());
        }
        self.left -= rows.len() as u64;
        let is_first = std::mem::replace(&mut self.is_first, false);
        let mut text = match self.format {
            ExportFormat::Csv if is_first => COLUMNS.to_owned(),
            _ => String::new(),
        };
        for row in rows {
            let row = AuditRow::from(row);
            match self.format {
                ExportFormat::Csv => csv_line(&mut text, &row),
                ExportFormat::Jsonl => {
                    // A struct of strings and numbers is always valid JSON.
                    text.push_str(&serde_json::to_string(&row).unwrap_or_default());
                    text.push('\n');
                }
            }
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

fn csv_line(text: &mut String, row: &AuditRow) {
    let cells = [
        row.id.to_string(),
        row.gateway_id.to_string(),
        cell(&row.request_id),
        row.at_ms.to_string(),
        cell(&row.endpoint),
        cell(&row.model),
        cell(row.served_by.as_deref().unwrap_or_default()),
        row.status.to_string(),
        cell(row.error_kind.as_deref().unwrap_or_default()),
        cell(row.finish_reason.as_deref().unwrap_or_default()),
        number(row.prompt_tokens),
        number(row.cached_tokens),
        number(row.completion_tokens),
        number(row.queue_ms),
        number(row.time_to_first_token_ms),
        row.duration_ms.to_string(),
    ];
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

fn number(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A cell in quotes if it needs them. Clients choose names of models: one that a spreadsheet would compute as a formula gets
/// an apostrophe in front.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if is_formula { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{apostrophe}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_necessary() {
        for (text, expected) in [
            ("org/model", "org/model"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@SUM(A1,A2)"), "\"'@SUM(A1,A2)\"");
        assert_eq!(cell("a=1"), "a=1");
    }
}
