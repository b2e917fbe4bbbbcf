//! Audit rows: one per inference request, with exact token counts and never with content.

use crate::batches;
use crate::connect::Store;
use crate::entities::request::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::values::{self, label, signed};
use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use std::num::NonZeroU64;
use uuid::Uuid;

const NOUN: &str = "request";
const TABLE: &str = "requests";

/// Rows per statement: SQLite accepts 32,766 values in one, Postgres 65,535, and a row has 16.
const ROWS_PER_INSERT: usize = 500;

/// A request that has ended. Texts longer than 512 bytes are cut: clients choose the name of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id in the database.
    pub id: Uuid,
    /// The gateway that handled it.
    pub gateway_id: Uuid,
    /// Its `x-request-id`.
    pub request_id: String,
    /// Time of its arrival.
    pub at_ms: i64,
    /// Route, such as "/v1/chat/completions".
    pub endpoint: String,
    /// The model that the client named.
    pub model: String,
    /// "local", or the name of a provider; `None` if it was rejected before.
    pub served_by: Option<String>,
    /// HTTP status; 499 if the client disconnected.
    pub status: u16,
    /// Stable code of the error.
    pub error_kind: Option<String>,
    /// Why the generation ended, such as "stop".
    pub finish_reason: Option<String>,
    /// Token counts; `None` if nothing was computed.
    pub usage: Option<TokenUsage>,
    /// Milliseconds in queues.
    pub queue_ms: Option<u64>,
    /// Milliseconds from arrival to the first token.
    pub time_to_first_token_ms: Option<u64>,
    /// Milliseconds from arrival to the end of the response.
    pub duration_ms: u64,
}

/// Exact token counts of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: u64,
    /// Generated tokens.
    pub completion_tokens: u64,
}

/// Stores a batch of rows in one transaction: all of them, or none with an error.
pub async fn insert(store: &Store, batch: &[Request]) -> Result<(), StoreError> {
    let rows = batch.iter().map(to_row).collect::<Result<Vec<_>, _>>()?;
    let transaction = store.begin().await?;
    for chunk in rows.chunks(ROWS_PER_INSERT) {
        Entity::insert_many::<ActiveModel, _>(
            chunk
                .iter()
                .cloned()
                .map(IntoActiveModel::into_active_model),
        )
        .exec_without_returning(&transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A selection of rows. The default is the newest 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFilter {
    /// Rows at or after this time.
    pub from_ms: Option<i64>,
    /// Rows before this time.
    pub until_ms: Option<i64>,
    /// Rows of this model.
    pub model: Option<String>,
    /// Rows of this route.
    pub endpoint: Option<String>,
    /// Rows of this gateway.
    pub gateway_id: Option<Uuid>,
    /// Rows with a status of at least this: 400 for all errors.
    pub min_status: Option<u16>,
    /// Rows older than this one, the last of the previous page.
    pub after: Option<PagePosition>,
    /// Maximum number of rows.
    pub limit: u64,
}

impl Default for RequestFilter {
    fn default() -> Self {
        Self {
            from_ms: None,
            until_ms: None,
            model: None,
            endpoint: None,
            gateway_id: None,
            min_status: None,
            after: None,
            limit: 100,
        }
    }
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagePosition {
    /// Time of its last row.
    pub at_ms: i64,
    /// Id of its last row.
    pub id: Uuid,
}

impl Request {
    /// The position after this row.
    pub const fn position(&self) -> PagePosition {
        PagePosition {
            at_ms: self.at_ms,
            id: self.id,
        }
    }
}

impl RequestFilter {
    /// Which rows, apart from their number.
    fn condition(&self) -> Condition {
        let text = |column: Column, text: Option<&str>| text.map(|text| column.eq(label(text)));
        let after = self.after.map(|position| {
            let same_time = Condition::all()
                .add(Column::AtMs.eq(position.at_ms))
                .add(Column::Id.lt(position.id));
            Condition::any()
                .add(Column::AtMs.lt(position.at_ms))
                .add(same_time)
        });
        Condition::all()
            .add_option(self.from_ms.map(|time| Column::AtMs.gte(time)))
            .add_option(self.until_ms.map(|time| Column::AtMs.lt(time)))
            .add_option(text(Column::Model, self.model.as_deref()))
            .add_option(text(Column::Endpoint, self.endpoint.as_deref()))
            .add_option(self.gateway_id.map(|id| Column::GatewayId.eq(id)))
            .add_option(
                self.min_status
                    .map(|status| Column::Status.gte(i32::from(status))),
            )
            .add_option(after)
    }
}

/// Rows that match the filter, newest first.
pub async fn list(store: &Store, filter: &RequestFilter) -> Result<Vec<Request>, StoreError> {
    let rows = Entity::find()
        .filter(filter.condition())
        .order_by_desc(Column::AtMs)
        .order_by_desc(Column::Id)
        .limit(filter.limit)
        .all(store.reader())
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// A row by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, id: Uuid) -> Result<Request, StoreError> {
    match Entity::find_by_id(id).one(store.reader()).await? {
        Some(row) => from_row(row),
        None => Err(StoreError::not_found(NOUN, id)),
    }
}

/// Sums over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestTotals {
    /// Rows.
    pub requests: u64,
    /// Of these, with a status of 400 or more.
    pub errors: u64,
    /// Token counts.
    pub usage: TokenUsage,
    /// Milliseconds from arrival to the end of the response.
    pub duration_ms: u64,
}

/// Sums over all rows that match the filter, whatever its limit.
///
/// # Errors
/// [`StoreError::Database`] also if a sum is larger than 2^63.
pub async fn totals(store: &Store, filter: &RequestFilter) -> Result<RequestTotals, StoreError> {
    // The sum of no rows is NULL, and Postgres has another type for sums than for their columns.
    let sum = |values: Expr| {
        let sum = Expr::from(Func::sum(values));
        Func::cast_as(Func::coalesce([sum, Expr::value(0_i64)]), "BIGINT")
    };
    let is_error = Expr::case(Column::Status.gte(400), 1_i64).finally(0_i64);
    let row = Entity::find()
        .select_only()
        .expr_as(Column::Id.count(), "requests")
        .expr_as(sum(is_error.into()), "errors")
        .expr_as(sum(Expr::col(Column::PromptTokens)), "prompt_tokens")
        .expr_as(sum(Expr::col(Column::CachedTokens)), "cached_tokens")
        .expr_as(
            sum(Expr::col(Column::CompletionTokens)),
            "completion_tokens",
        )
        .expr_as(sum(Expr::col(Column::DurationMs)), "duration_ms")
        .filter(filter.condition())
        .into_tuple::<(i64, i64, i64, i64, i64, i64)>()
        .one(store.reader())
        .await?;
    let Some((requests, errors, prompt, cached, completion, duration)) = row else {
        return Ok(RequestTotals::default());
    };
    let count = |column, value: i64| {
        let stored = values::StoredValue {
            table: TABLE,
            column,
            row: &"all",
        };
        stored.unsigned::<u64>(value)
    };
    Ok(RequestTotals {
        requests: count("id", requests)?,
        errors: count("status", errors)?,
        usage: TokenUsage {
            prompt_tokens: count("prompt_tokens", prompt)?,
            cached_tokens: count("cached_tokens", cached)?,
            completion_tokens: count("completion_tokens", completion)?,
        },
        duration_ms: count("duration_ms", duration)?,
    })
}

/// Deletes rows from before a time, in transactions of at most `batch` rows so that other writes are not held up; returns
/// their number. An error leaves complete batches deleted.
pub async fn delete_before(
    store: &Store,
    time_ms: i64,
    batch: NonZeroU64,
) -> Result<u64, StoreError> {
    let oldest = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::AtMs.lt(time_ms))
        .limit(batch.get())
        .to_owned();
    let delete = Query::delete()
        .from_table(Entity)
        .and_where(Column::Id.in_subquery(oldest))
        .to_owned();
    batches::delete(store, &delete, batch).await
}

fn to_row(request: &Request) -> Result<Model, StoreError> {
    let count = |field, select: fn(&TokenUsage) -> u64| {
        request
            .usage
            .as_ref()
            .map(|usage| signed(field, select(usage)))
            .transpose()
    };
    let optional = |field, value: Option<u64>| value.map(|value| signed(field, value)).transpose();
    Ok(Model {
        id: request.id,
        gateway_id: request.gateway_id,
        request_id: label(&request.request_id),
        at_ms: request.at_ms,
        endpoint: label(&request.endpoint),
        model: label(&request.model),
        served_by: request.served_by.as_deref().map(label),
        status: i32::from(request.status),
        error_kind: request.error_kind.as_deref().map(label),
        finish_reason: request.finish_reason.as_deref().map(label),
        prompt_tokens: count("prompt_tokens", |usage| usage.prompt_tokens)?,
        cached_tokens: count("cached_tokens", |usage| usage.cached_tokens)?,
        completion_tokens: count("completion_tokens", |usage| usage.completion_tokens)?,
        queue_ms: optional("queue_ms", request.queue_ms)?,
        time_to_first_token_ms: optional("time_to_first_token_ms", request.time_to_first_token_ms)?,
        duration_ms: signed("duration_ms", request.duration_ms)?,
    })
}

fn from_row(row: Model) -> Result<Request, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    let optional = |name, value: Option<i64>| {
        value
            .map(|value| column(name).unsigned::<u64>(value))
            .transpose()
    };
    let usage = match (row.prompt_tokens, row.cached_tokens, row.completion_tokens) {
        (Some(prompt), Some(cached), Some(completion)) => Some(TokenUsage {
            prompt_tokens: column("prompt_tokens").unsigned(prompt)?,
            cached_tokens: column("cached_tokens").unsigned(cached)?,
            completion_tokens: column("completion_tokens").unsigned(completion)?,
        }),
        _ => None,
    };
    Ok(Request {
        id,
        gateway_id: row.gateway_id,
        request_id: row.request_id,
        at_ms: row.at_ms,
        endpoint: row.endpoint,
        model: row.model,
        served_by: row.served_by,
        status: column("status").unsigned(i64::from(row.status))?,
        error_kind: row.error_kind,
        finish_reason: row.finish_reason,
        usage,
        queue_ms: optional("queue_ms", row.queue_ms)?,
        time_to_first_token_ms: optional("time_to_first_token_ms", row.time_to_first_token_ms)?,
        duration_ms: column("duration_ms").unsigned(row.duration_ms)?,
    })
}
