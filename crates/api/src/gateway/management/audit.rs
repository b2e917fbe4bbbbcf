//! `/api/audit`: which requests were handled, without their content.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use mlxm_store::requests::{self, Request, RequestFilter};
use mlxm_store::{Store, Uuid};

use super::export;
use crate::gateway::GatewayState;
use crate::gateway::extract::QueryParams;
use crate::gateway::problem::ApiProblem;
use crate::wire::audit::{AuditFilter, AuditPage, AuditRow, AuditTotals};

/// Rows of a page.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/audit", get(list)),
        ("/api/audit/totals", get(totals)),
        ("/api/audit/export", get(export_rows)),
    ]
}

impl From<Request> for AuditRow {
    fn from(row: Request) -> Self {
        Self {
            id: row.id,
            gateway_id: row.gateway_id,
            request_id: row.request_id,
            at_ms: row.at_ms,
            endpoint: row.endpoint,
            model: row.model,
            served_by: row.served_by,
            status: row.status,
            error_kind: row.error_kind,
            finish_reason: row.finish_reason,
            prompt_tokens: row.usage.map(|usage| usage.prompt_tokens),
            cached_tokens: row.usage.map(|usage| usage.cached_tokens),
            completion_tokens: row.usage.map(|usage| usage.completion_tokens),
            queue_ms: row.queue_ms,
            time_to_first_token_ms: row.time_to_first_token_ms,
            duration_ms: row.duration_ms,
        }
    }
}

/// The rows that `filter` selects, with their number limited to `limit`.
async fn selected(
    store: &Store,
    filter: AuditFilter,
    limit: u64,
) -> Result<RequestFilter, ApiProblem> {
    if let (Some(from), Some(until)) = (filter.from_ms, filter.until_ms)
        && from > until
    {
        let message = format!("must be at most until_ms ({until})");
        return Err(ApiProblem::field("from_ms", "out_of_range", message));
    }
    Ok(RequestFilter {
        from_ms: filter.from_ms,
        until_ms: filter.until_ms,
        model: filter.model,
        endpoint: filter.endpoint,
        gateway_id: None,
        min_status: filter.min_status,
        after: match filter.after {
            Some(id) => Some(position(store, id).await?),
            None => None,
        },
        limit,
    })
}

async fn position(store: &Store, id: Uuid) -> Result<requests::PagePosition, ApiProblem> {
    Ok(requests::get(store, id).await?.position())
}

/// Lists rows, newest first. A page continues after the row in `after`.
#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "audit",
    operation_id = "list_audit_rows",
    params(AuditFilter),
    responses((status = 200, body = AuditPage), (status = 404))
)]
pub async fn list(
    State(state): State<GatewayState>,
    QueryParams(filter): QueryParams<AuditFilter>,
) -> Result<Json<AuditPage>, ApiProblem> {
    reject_format(&filter)?;
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("must be from 1 to {MAX_LIMIT}");
        return Err(ApiProblem::field("limit", "out_of_range", message));
    }
    // One more than the page shows whether another one follows.
    let filter = selected(state.store(), filter, limit + 1).await?;
    let mut rows = requests::list(state.store(), &filter).await?;
    let has_more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(|row| row.id);
    Ok(Json(AuditPage {
        rows: rows.into_iter().map(AuditRow::from).collect(),
        next,
    }))
}

/// Sums over all rows that the filter selects.
#[utoipa::path(
    get,
    path = "/api/audit/totals",
    tag = "audit",
    operation_id = "sum_audit_rows",
    params(AuditFilter),
    responses((status = 200, body = AuditTotals))
)]
pub async fn totals(
    State(state): State<GatewayState>,
    QueryParams(filter): QueryParams<AuditFilter>,
) -> Result<Json<AuditTotals>, ApiProblem> {
    reject_format(&filter)?;
    for (name, given) in [
        ("after", filter.after.is_some()),
        ("limit", filter.limit.is_some()),
    ] {
        if given {
            let message = "sums are over all rows: omit it";
            return Err(ApiProblem::field(name, "unsupported", message));
        }
    }
    let filter = selected(state.store(), filter, 0).await?;
    let totals = requests::totals(state.store(), &filter).await?;
    Ok(Json(AuditTotals {
        requests: totals.requests,
        errors: totals.errors,
        prompt_tokens: totals.usage.prompt_tokens,
        cached_tokens: totals.usage.cached_tokens,
        completion_tokens: totals.usage.completion_tokens,
        duration_ms: totals.duration_ms,
    }))
}

/// Exports rows, newest first, as CSV or JSON lines. The response is streamed: an error of the database cuts it off.
#[utoipa::path(
    get,
    path = "/api/audit/export",
    tag = "audit",
    operation_id = "export_audit_rows",
    params(AuditFilter),
    responses(
        (
            status = 200,
            description = "The rows",
            content((String = "text/csv"), (String = "application/jsonl"))
        ),
        (status = 404)
    )
)]
pub async fn export_rows(
    State(state): State<GatewayState>,
    QueryParams(filter): QueryParams<AuditFilter>,
) -> Result<Response, ApiProblem> {
    let format = filter.format.unwrap_or_default();
    let limit = filter.limit;
    let filter = selected(state.store(), filter, 0).await?;
    Ok(export::response(
        state.store().clone(),
        filter,
        limit,
        format,
    ))
}

fn reject_format(filter: &AuditFilter) -> Result<(), ApiProblem> {
    if filter.format.is_none() {
        return Ok(());
    }
    let message = "only /api/audit/export has formats: omit it";
    Err(ApiProblem::field("format", "unsupported", message))
}
