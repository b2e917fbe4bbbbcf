//! `/api/downloads`: the download queue.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post, put};
use futures_util::stream;
use mlxm_store::Uuid;

use super::QueueError;
use crate::gateway::GatewayState;
use crate::gateway::events::stream::{KEEPALIVE, keepalive, stream_of, to_bytes};
use crate::gateway::events::{Message, Reader, TopicName};
use crate::gateway::extract::{JsonBody, Path, QueryParams};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::downloads::{
    CancelOptions, Download, DownloadList, DownloadOrder, DownloadRequest, DownloadState,
};
use crate::wire::events::{DownloadEvent, Event, Topic};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/downloads", get(list).post(add)),
        ("/api/downloads/order", put(order)),
        ("/api/downloads/{id}", get(retrieve).delete(remove)),
        ("/api/downloads/{id}/pause", post(pause)),
        ("/api/downloads/{id}/resume", post(resume)),
        ("/api/downloads/{id}/cancel", post(cancel)),
        ("/api/downloads/{id}/events", get(events)),
    ]
}

impl From<QueueError> for ApiProblem {
    fn from(error: QueueError) -> Self {
        let message = error.to_string();
        match error {
            QueueError::NotFound(_) => Self::new(Code::DOWNLOAD_NOT_FOUND, message),
            QueueError::State { .. } => Self::new(Code::CONFLICT, message),
            QueueError::Hub(error) => Self::from(error),
            QueueError::Store(error) => Self::from(error),
            QueueError::Closed => Self::new(Code::SHUTTING_DOWN, message),
        }
    }
}

fn parse(id: &str) -> Result<Uuid, ApiProblem> {
    Uuid::try_parse(id).map_err(|_| {
        let detail = format!("`{id}` is not the id of a download: `mlxm downloads list` shows all");
        ApiProblem::new(Code::DOWNLOAD_NOT_FOUND, detail)
    })
}

async fn find(state: &GatewayState, id: Uuid) -> Result<Download, ApiProblem> {
    let downloads = state.downloads().list().await?;
    let found = downloads.into_iter().find(|download| download.id == id);
    Ok(found.ok_or(QueueError::NotFound(id))?)
}

/// Lists all downloads, in the order of the queue.
#[utoipa::path(
    get,
    path = "/api/downloads",
    tag = "downloads",
    operation_id = "list_downloads",
    responses((status = 200, body = DownloadList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<DownloadList>, ApiProblem> {
    let downloads = state.downloads().list().await?;
    Ok(Json(DownloadList { downloads }))
}

/// Appends a download to the queue, where it starts without a client.
#[utoipa::path(
    post,
    path = "/api/downloads",
    tag = "downloads",
    operation_id = "add_download",
    request_body = DownloadRequest,
    responses(
        (status = 201, body = Download),
        (status = 200, body = Download, description = "It is in the queue already")
    )
)]
pub async fn add(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<DownloadRequest>,
) -> Result<(StatusCode, Json<Download>), ApiProblem> {
    let (download, is_new) = state.downloads().add(request).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(download)))
}

/// Changes the order of the queue. Downloads that are running are not interrupted.
#[utoipa::path(
    put,
    path = "/api/downloads/order",
    tag = "downloads",
    operation_id = "order_downloads",
    request_body = DownloadOrder,
    responses((status = 200, body = DownloadList), (status = 404))
)]
pub async fn order(
    State(state): State<GatewayState>,
    JsonBody(order): JsonBody<DownloadOrder>,
) -> Result<Json<DownloadList>, ApiProblem> {
    let downloads = state.downloads().order(order.first).await?;
    Ok(Json(DownloadList { downloads }))
}

/// Returns a download.
#[utoipa::path(
    get,
    path = "/api/downloads/{id}",
    tag = "downloads",
    operation_id = "get_download",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Download), (status = 404))
)]
pub async fn retrieve(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Download>, ApiProblem> {
    Ok(Json(find(&state, parse(&id)?).await?))
}

/// Pauses a download until it is resumed, also after a restart.
#[utoipa::path(
    post,
    path = "/api/downloads/{id}/pause",
    tag = "downloads",
    operation_id = "pause_download",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Download), (status = 404), (status = 409))
)]
pub async fn pause(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Download>, ApiProblem> {
    Ok(Json(state.downloads().pause(parse(&id)?).await?))
}

/// Continues a download that is paused, waits, has failed or was cancelled.
#[utoipa::path(
    post,
    path = "/api/downloads/{id}/resume",
    tag = "downloads",
    operation_id = "resume_download",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Download), (status = 404), (status = 409))
)]
pub async fn resume(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Download>, ApiProblem> {
    Ok(Json(state.downloads().resume(parse(&id)?).await?))
}

/// Cancels a download and keeps its row.
#[utoipa::path(
    post,
    path = "/api/downloads/{id}/cancel",
    tag = "downloads",
    operation_id = "cancel_download",
    params(("id" = Uuid, Path), CancelOptions),
    responses((status = 200, body = Download), (status = 404), (status = 409))
)]
pub async fn cancel(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(options): QueryParams<CancelOptions>,
) -> Result<Json<Download>, ApiProblem> {
    let cancelled = state
        .downloads()
        .cancel(parse(&id)?, options.keep_partial)
        .await?;
    Ok(Json(cancelled))
}

/// Cancels a download if it has not ended, and removes its row. A complete model stays.
#[utoipa::path(
    delete,
    path = "/api/downloads/{id}",
    tag = "downloads",
    operation_id = "remove_download",
    params(("id" = Uuid, Path), CancelOptions),
    responses((status = 204), (status = 404))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(options): QueryParams<CancelOptions>,
) -> Result<StatusCode, ApiProblem> {
    state
        .downloads()
        .remove(parse(&id)?, options.keep_partial)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Streams the events of a download, beginning with its state, until it has ended.
#[utoipa::path(
    get,
    path = "/api/downloads/{id}/events",
    tag = "downloads",
    operation_id = "follow_download",
    params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "text/event-stream", body = Event), (status = 404))
)]
pub async fn events(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Response, ApiProblem> {
    let id = parse(&id)?;
    // Before the state is read, so that no change is missed.
    let topics = [TopicName::Shared(Topic::Downloads)].into();
    let reader = state.bus().subscribe(topics, None);
    let download = Box::new(find(&state, id).await?);
    let follower = Follower {
        id,
        reader,
        first: Some(Event::Downloads(DownloadEvent::Changed { download })),
        state,
        is_over: false,
    };
    Ok(stream_of(stream::unfold(follower, Follower::next)))
}

/// The stream of one download.
struct Follower {
    id: Uuid,
    reader: Reader,
    first: Option<Event>,
    state: GatewayState,
    is_over: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_over {
            return None;
        }
        loop {
            let event = match self.first.take() {
                Some(event) => event,
                None => match tokio::time::timeout(KEEPALIVE, self.reader.next()).await {
                    Ok(message) => self.of_message(&message?).await?,
                    Err(_) => return Some((keepalive(), self)),
                },
            };
            let Event::Downloads(change) = &event else {
                continue;
            };
            let (id, is_over) = match change {
                DownloadEvent::Changed { download } => (download.id, has_ended(download)),
                DownloadEvent::Progress { id, .. } => (*id, false),
                DownloadEvent::Removed { id } => (*id, true),
                DownloadEvent::Reordered { .. } => continue,
            };
            if id != self.id {
                continue;
            }
            self.is_over = is_over;
            // Strings and numbers are always valid JSON.
            let data = serde_json::to_string(&event).unwrap_or_default();
            let message = Message {
                id: None,
                data: data.into(),
            };
            return Some((to_bytes(&message), self));
        }
    }

    /// The event of a message. After a reset it is the current state.
    async fn of_message(&self, message: &Message) -> Option<Event> {
        let event: Event = serde_json::from_str(&message.data).ok()?;
        if !matches!(event, Event::Reset(_)) {
            return Some(event);
        }
        let change = match find(&self.state, self.id).await {
            Ok(download) => DownloadEvent::Changed {
                download: Box::new(download),
            },
            Err(_) => DownloadEvent::Removed { id: self.id },
        };
        Some(Event::Downloads(change))
    }
}

fn has_ended(download: &Download) -> bool {
    matches!(
        download.state,
        DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled
    )
}
