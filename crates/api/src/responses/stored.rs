//! Stored responses: `GET` and `DELETE /v1/responses/{id}`, `/input_items` and `/cancel`.

use axum::Json;
use axum::extract::State;
use mlxm_chat::integers;
use serde::Deserialize;
use serde_json::{Value, json};

use super::store::StoredResponse;
use crate::error::ApiError;
use crate::extract::{IdAndQuery, NoQuery};
use crate::state::AppState;

/// The query of [`retrieve`].
#[derive(Debug, Deserialize)]
pub struct RetrieveQuery {
    stream: Option<String>,
    starting_after: Option<String>,
}

/// Returns a stored response.
pub async fn retrieve(
    State(server): State<AppState>,
    IdAndQuery(id, query): IdAndQuery<RetrieveQuery>,
) -> Result<Json<Value>, ApiError> {
    if query.stream.is_some_and(|stream| stream != "false") {
        let message = "stream is not supported: stored responses are complete";
        return Err(ApiError::unsupported("stream", message));
    }
    if query.starting_after.is_some() {
        let message = "starting_after is not supported: stored responses cannot be streamed";
        return Err(ApiError::unsupported("starting_after", message));
    }
    Ok(Json(stored(&server, &id).await?.response))
}

/// Deletes a stored response. Responses that continue it are not affected.
pub async fn delete(
    State(server): State<AppState>,
    IdAndQuery(id, NoQuery {}): IdAndQuery<NoQuery>,
) -> Result<Json<Value>, ApiError> {
    if !server.responses().delete(&id).await? {
        return Err(unknown(&id));
    }
    Ok(Json(
        json!({"id": id, "object": "response", "deleted": true}),
    ))
}

/// Always an error: there are no background responses.
pub async fn cancel(
    State(server): State<AppState>,
    IdAndQuery(id, NoQuery {}): IdAndQuery<NoQuery>,
) -> Result<(), ApiError> {
    stored(&server, &id).await?;
    let message = "only background responses can be cancelled, which are not supported: close the connection instead";
    Err(ApiError::invalid(message))
}

/// The query of [`input_items`].
#[derive(Debug, Default, Deserialize)]
pub struct PageQuery {
    after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
}

/// Items of a page by default.
const PAGE_SIZE: usize = 20;
/// Most items of a page.
const MAX_PAGE_SIZE: usize = 100;

/// Lists the input items of a stored response.
pub async fn input_items(
    State(server): State<AppState>,
    IdAndQuery(id, query): IdAndQuery<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    let items = stored(&server, &id).await?.input;
    page(items.into_iter().map(integers::rounded).collect(), &query).map(Json)
}

fn page(mut items: Vec<Value>, query: &PageQuery) -> Result<Value, ApiError> {
    let limit = query.limit.as_deref().map_or(Ok(PAGE_SIZE), str::parse);
    let limit = limit
        .ok()
        .filter(|limit| (1..=MAX_PAGE_SIZE).contains(limit))
        .ok_or_else(|| {
            let message = format!("limit must be a number between 1 and {MAX_PAGE_SIZE}");
            ApiError::field("limit", message)
        })?;
    match query.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(ApiError::field("order", "order must be asc or desc")),
    }
    let first = match &query.after {
        None => 0,
        Some(after) => {
            let position = items.iter().position(|item| item["id"] == **after);
            let position = position.ok_or_else(|| {
                ApiError::field(
                    "after",
                    format!("after is {after}, which is not the id of an item"),
                )
            })?;
            position + 1
        }
    };
    let has_more = items.len() > first + limit;
    let page: Vec<Value> = items.into_iter().skip(first).take(limit).collect();
    Ok(json!({
        "object": "list",
        "first_id": page.first().map(|item| &item["id"]),
        "last_id": page.last().map(|item| &item["id"]),
        "has_more": has_more,
        "data": page,
    }))
}

async fn stored(server: &AppState, id: &str) -> Result<StoredResponse, ApiError> {
    let stored = server.responses().get(id).await?;
    stored.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no stored response `{id}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(query: &PageQuery) -> Result<(Vec<u64>, bool), ApiError> {
        let items = (0..30).map(|id| json!({"id": format!("msg_{id}"), "n": id}));
        let page = page(items.collect(), query)?;
        let ids: Vec<u64> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["n"].as_u64())
            .collect();
        assert_eq!(
            page["first_id"],
            json!(ids.first().map(|id| format!("msg_{id}")))
        );
        assert_eq!(
            page["last_id"],
            json!(ids.last().map(|id| format!("msg_{id}")))
        );
        Ok((ids, page["has_more"] == true))
    }

    fn query(after: Option<&str>, limit: Option<&str>, order: Option<&str>) -> PageQuery {
        PageQuery {
            after: after.map(str::to_owned),
            limit: limit.map(str::to_owned),
            order: order.map(str::to_owned),
        }
    }

    #[test]
    fn pages_have_the_requested_order_size_and_start() {
        assert_eq!(
            ids(&query(None, None, None)),
            Ok(((10..30).rev().collect(), true))
        );
        assert_eq!(
            ids(&query(Some("msg_10"), None, None)),
            Ok(((0..10).rev().collect(), false))
        );
        assert_eq!(
            ids(&query(None, Some("2"), Some("asc"))),
            Ok((vec![0, 1], true))
        );
        assert_eq!(
            ids(&query(Some("msg_27"), Some("2"), Some("asc"))),
            Ok((vec![28, 29], false))
        );
        assert_eq!(
            ids(&query(Some("msg_29"), None, Some("asc"))),
            Ok((vec![], false))
        );
        for invalid in [
            query(Some("x"), None, None),
            query(None, Some("0"), None),
            query(None, Some("x"), None),
            query(None, None, Some("up")),
        ] {
            assert!(ids(&invalid).is_err(), "{invalid:?}");
        }
    }
}
