//! What a server has used and done.

use axum::Json;
use axum::extract::State;
use mlxm_store::now_ms;

use super::find;
use crate::gateway::GatewayState;
use crate::gateway::extract::{Path, QueryParams};
use crate::gateway::problem::ApiProblem;
use crate::wire::servers::{MetricsHistory, MetricsQuery};

/// Returns the measurements of the last 15 minutes or 24 hours since the start of the gateway. They are kept in memory, by model
/// and load settings: a server that is started again continues those of the one before.
#[utoipa::path(
    get,
    path = "/api/servers/{id}/metrics",
    tag = "servers",
    operation_id = "list_server_metrics",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile"), MetricsQuery),
    responses((status = 200, body = MetricsHistory), (status = 404))
)]
pub async fn list_metrics(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(MetricsQuery { range }): QueryParams<MetricsQuery>,
) -> Result<Json<MetricsHistory>, ApiProblem> {
    let record = find(&state, &id).await?.record;
    let history = &state.monitor().history;
    Ok(Json(MetricsHistory {
        server: record.id,
        range,
        samples: history.read(&record.settings, range, now_ms()),
    }))
}
