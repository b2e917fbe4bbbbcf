//! Models on the hub.

use axum::Json;
use axum::extract::State;
use mlxm_hub::{ModelSummary, SearchQuery as HubQuery, Sort};

use super::characteristics;
use crate::gateway::extract::QueryParams;
use crate::gateway::problem::ApiProblem;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::models::{RemoteModel, SearchPage, SearchQuery, SearchSort};

const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;
/// The hub lists what comes before a page again, so pages far down take long.
const MAX_PAGE: u64 = 50;

/// Searches for models on the hub. With a maximum size, a page may have fewer models than requested.
#[utoipa::path(
    get,
    path = "/api/models/search",
    tag = "models",
    operation_id = "search_models",
    params(SearchQuery),
    responses((status = 200, body = SearchPage), (status = 404), (status = 502))
)]
pub async fn search(
    State(state): State<GatewayState>,
    QueryParams(query): QueryParams<SearchQuery>,
) -> Result<Json<SearchPage>, ApiProblem> {
    let limit = in_range("limit", query.limit.unwrap_or(DEFAULT_LIMIT), MAX_LIMIT)?;
    let page = in_range("page", query.page.unwrap_or(1), MAX_PAGE)?;
    let hub_query = HubQuery {
        text: query.query.filter(|text| !text.trim().is_empty()),
        author: query.author.filter(|author| !author.trim().is_empty()),
        mlx_only: !query.all,
        sort: sort(query.sort),
        offset: ((page - 1) * limit) as usize,
        // One more tells whether there is a next page.
        limit: limit as usize + 1,
    };
    let mut found = state.hub().search(&hub_query).await?;
    let has_more = found.len() as u64 > limit && page < MAX_PAGE;
    found.truncate(limit as usize);
    let fits = |model: &RemoteModel| match (query.max_size_bytes, model.size_bytes) {
        (Some(most), Some(size)) => size <= most,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let snapshot = state.snapshot();
    let models = found.into_iter().map(|summary| remote(summary, &snapshot));
    Ok(Json(SearchPage {
        models: models.filter(fits).collect(),
        next_page: has_more.then_some(page + 1),
    }))
}

/// A repository as the API shows it.
pub fn remote(summary: ModelSummary, snapshot: &Snapshot) -> RemoteModel {
    RemoteModel {
        downloaded: is_downloaded(&summary.repo, snapshot),
        characteristics: characteristics::of_summary(&summary),
        repo_id: summary.repo,
        downloads: summary.downloads,
        likes: summary.likes,
        last_modified: summary.last_modified,
        pipeline_tag: summary.pipeline_tag,
        tags: summary.tags,
        gated: summary.gated,
        size_bytes: summary.weights_bytes,
    }
}

fn is_downloaded(repo: &str, snapshot: &Snapshot) -> bool {
    let mut models = snapshot.models.iter();
    models.any(|model| model.complete && model.name.eq_ignore_ascii_case(repo))
}

fn in_range(field: &str, value: u64, most: u64) -> Result<u64, ApiProblem> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!("must be from 1 to {most}");
    Err(ApiProblem::field(field, "out_of_range", message))
}

fn sort(sort: SearchSort) -> Sort {
    match sort {
        SearchSort::Downloads => Sort::Downloads,
        SearchSort::Likes => Sort::Likes,
        SearchSort::Trending => Sort::Trending,
        SearchSort::Created => Sort::Created,
        SearchSort::Modified => Sort::Modified,
    }
}
