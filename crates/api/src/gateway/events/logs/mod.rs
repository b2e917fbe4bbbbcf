//! Logs of servers and of the gateway: the last lines, live streams, and the topics `logs:{server}` and `logs:gateway`.
//!
//! - `files`: where they are. `line`: a line and its filter. `follow`: the stream of one client. `topic`: lines on the bus.

mod files;
mod follow;
mod line;
mod topic;

use std::io;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use mlxm_gateway::{LogFile, LogHistory, LogLine, LogTail};
use uuid::Uuid;

use crate::gateway::GatewayState;
use crate::gateway::extract::{Path as PathParam, QueryParams};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::events::LogEvent;
use crate::wire::logs::{LogLines, LogQuery};

pub use files::{LogFiles, LogSource, default_log_file, log_directory};
pub use line::{LineFilter, read as read_line, text as line_text};
pub use topic::publish_logs;

/// Lines of the history if a client does not say how many, and those that begin the topic of a log.
const HISTORY_LINES: usize = 200;
/// Most lines of a history.
const MAX_LINES: u64 = 10_000;
/// How often a log is read that someone follows.
const INTERVAL: Duration = Duration::from_millis(250);

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/servers/{id}/logs", get(logs)),
        ("/api/logs", get(own_logs)),
    ]
}

/// Returns the last lines of a server's log, or streams them and those that follow as server-sent events.
#[utoipa::path(
    get,
    path = "/api/servers/{id}/logs",
    tag = "servers",
    operation_id = "get_server_logs",
    params(("id" = Uuid, Path, description = "The id of the server"), LogQuery),
    responses(
        (
            status = 200,
            description = "The lines, as events if they are followed",
            content((LogLines = "application/json"), (String = "text/event-stream"))
        ),
        (status = 404)
    )
)]
pub async fn logs(
    State(gateway): State<GatewayState>,
    PathParam(id): PathParam<String>,
    QueryParams(query): QueryParams<LogQuery>,
) -> Result<Response, ApiProblem> {
    let server = Uuid::try_parse(&id)
        .map_err(|_| ApiProblem::field("id", "invalid_value", "is not the id of a server"))?;
    let source = LogSource::Server(server);
    let log = gateway.log_files().of(source).filter(LogFile::exists);
    let log = log.ok_or_else(|| {
        let detail = format!(
            "there is no log of a server {server}: logs are kept for some days after a server has stopped \
             (logs.retention_days)"
        );
        ApiProblem::new(Code::SERVER_NOT_FOUND, detail)
            .with_advice("`GET /api/servers` lists the servers")
    })?;
    respond(&gateway, source, log, query).await
}

/// Returns the last lines of the gateway's own log, or streams them and those that follow as server-sent events.
#[utoipa::path(
    get,
    path = "/api/logs",
    tag = "system",
    operation_id = "get_logs",
    params(LogQuery),
    responses(
        (
            status = 200,
            description = "The lines, as events if they are followed",
            content((LogLines = "application/json"), (String = "text/event-stream"))
        ),
        (status = 404)
    )
)]
pub async fn own_logs(
    State(gateway): State<GatewayState>,
    QueryParams(query): QueryParams<LogQuery>,
) -> Result<Response, ApiProblem> {
    let log = gateway.log_files().own().cloned().ok_or_else(|| {
        let detail = "the gateway's own log is not written to a file: the setting logs.file is off";
        ApiProblem::new(Code::NOT_FOUND, detail).with_advice(
            "run `mlxm config reset logs.file` and restart the gateway, or see its terminal",
        )
    })?;
    respond(&gateway, LogSource::Gateway, log, query).await
}

async fn respond(
    gateway: &GatewayState,
    source: LogSource,
    log: LogFile,
    query: LogQuery,
) -> Result<Response, ApiProblem> {
    let lines = query.lines.unwrap_or(HISTORY_LINES as u64);
    if lines > MAX_LINES {
        let message = format!("must be at most {MAX_LINES}");
        return Err(ApiProblem::field("lines", "out_of_range", message));
    }
    let filter = LineFilter::new(query.level, query.search.as_deref());
    let history = history(&log, source, lines as usize, &filter)
        .await
        .map_err(|error| {
            let detail = format!("cannot read {}: {error}", log.path().display());
            ApiProblem::new(Code::FILES_FAILED, detail)
        })?;
    let lines = read_lines(source, &history.lines, &filter);
    if !query.follow {
        return Ok(Json(LogLines { lines }).into_response());
    }
    let tail = LogTail::from(log, history.end);
    Ok(follow::response(gateway.bus(), source, lines, tail, filter))
}

/// The last lines of a log that the filter accepts.
async fn history(
    log: &LogFile,
    source: LogSource,
    count: usize,
    filter: &LineFilter,
) -> io::Result<LogHistory> {
    let (log, filter) = (log.clone(), filter.clone());
    let read = tokio::task::spawn_blocking(move || {
        LogHistory::read(&log, count, |line| {
            filter.accepts(&line::read(source, line))
        })
    });
    read.await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The new lines of a log. The tail is lost if the gateway exits meanwhile.
async fn new_lines(mut tail: LogTail) -> (Option<LogTail>, io::Result<Vec<LogLine>>) {
    let read = tokio::task::spawn_blocking(move || {
        let lines = tail.read();
        (tail, lines)
    });
    match read.await {
        Ok((tail, lines)) => (Some(tail), lines),
        Err(error) => (None, Err(io::Error::other(error))),
    }
}

fn read_lines(source: LogSource, lines: &[LogLine], filter: &LineFilter) -> Vec<LogEvent> {
    lines
        .iter()
        .map(|line| line::read(source, line))
        .filter(|line| filter.accepts(line))
        .collect()
}
