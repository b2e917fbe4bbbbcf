//! `GET /api/events`: the events of some topics as one stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use futures_util::{StreamExt as _, future, stream};

use super::bus::{Message, Reader};
use super::history::EventId;
use super::topics::{parse_topics, shared_names};
use crate::gateway::GatewayState;
use crate::gateway::extract::QueryParams;
use crate::gateway::problem::ApiProblem;
use crate::sse;
use crate::wire::events::{Event, EventsQuery};

/// Time without messages after which a comment is sent, so that neither side takes the connection for dead.
pub const KEEPALIVE: Duration = Duration::from_secs(10);

/// Most topics of a stream: each log is read while someone follows it.
const MAX_TOPICS: usize = 64;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// An id of no event: a client that sends something else than an id has to read everything again.
const UNKNOWN: EventId = EventId {
    epoch: 0,
    number: u64::MAX,
};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![("/api/events", get(events))]
}

/// Streams the events of topics as server-sent events. Each `data` is an event in JSON; a client that reconnects with the id of
/// the last one misses none, or gets a reset of the topics of which events were lost.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "events",
    operation_id = "stream_events",
    params(EventsQuery, ("last-event-id" = Option<String>, Header, description = "The id of the last event")),
    responses((status = 200, description = "The events", body = Event, content_type = "text/event-stream"))
)]
pub async fn events(
    State(gateway): State<GatewayState>,
    headers: HeaderMap,
    QueryParams(query): QueryParams<EventsQuery>,
) -> Result<Response, ApiProblem> {
    let topics = parse_topics(&query.topics)
        .map_err(|error| ApiProblem::field("topics", "unknown_topic", error.to_string()))?;
    if topics.is_empty() {
        let message = format!("is empty: name some of {}", shared_names());
        return Err(ApiProblem::field("topics", "missing", message));
    }
    if topics.len() > MAX_TOPICS {
        let message = format!("has {} topics, and may have {MAX_TOPICS}", topics.len());
        return Err(ApiProblem::field("topics", "out_of_range", message));
    }
    let last = last_event_id(&headers, &query);
    Ok(response(gateway.bus().subscribe(topics, last), last))
}

/// The id that a client resumes with. The header of a browser that reconnects by itself is newer than the address.
fn last_event_id(headers: &HeaderMap, query: &EventsQuery) -> Option<EventId> {
    let header = headers.get(LAST_EVENT_ID);
    let text = match header {
        Some(value) => value.to_str().unwrap_or("invalid"),
        None => query.last_event_id.as_deref()?,
    };
    (!text.is_empty()).then(|| text.parse().unwrap_or(UNKNOWN))
}

/// A stream of all messages of a reader, until the gateway exits.
fn response(reader: Reader, last: Option<EventId>) -> Response {
    // An event without data only sets the id, with which a client resumes that has got no event.
    let begin = match last {
        None => format!("id: {}\n\n", reader.start()),
        Some(_) => ": resumed\n\n".to_owned(),
    };
    let messages = stream::unfold(reader, |mut reader| async move {
        let bytes = match tokio::time::timeout(KEEPALIVE, reader.next()).await {
            Ok(message) => to_bytes(&message?),
            Err(_) => keepalive(),
        };
        Some((bytes, reader))
    });
    stream_of(stream::once(future::ready(Bytes::from(begin))).chain(messages))
}

/// A stream of events that are written already.
pub fn stream_of(events: impl futures_core::Stream<Item = Bytes> + Send + 'static) -> Response {
    sse::raw_response(Body::from_stream(events.map(Ok::<_, Infallible>)))
}

/// A comment.
pub fn keepalive() -> Bytes {
    Bytes::from_static(b": keepalive\n\n")
}

/// An event as it is sent.
pub fn to_bytes(message: &Message) -> Bytes {
    let data = &message.data;
    Bytes::from(match message.id {
        Some(id) => format!("id: {id}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_header_or_the_address_and_others_are_unknown() {
        let id = EventId {
            epoch: 7,
            number: 8,
        };
        let from = |header: Option<&str>, parameter: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                headers.insert(LAST_EVENT_ID, text.parse().unwrap());
            }
            let query = EventsQuery {
                last_event_id: parameter.map(str::to_owned),
                ..EventsQuery::default()
            };
            last_event_id(&headers, &query)
        };
        let text = id.to_string();
        assert_eq!(from(None, None), None);
        assert_eq!(from(None, Some("")), None);
        assert_eq!(from(Some(&text), Some("x")), Some(id));
        assert_eq!(from(None, Some(&text)), Some(id));
        assert_eq!(from(Some("17"), None), Some(UNKNOWN));
    }
}
