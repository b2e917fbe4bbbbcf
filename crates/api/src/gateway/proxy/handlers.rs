//! The routes that are forwarded.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures_core::future::BoxFuture;
use tokio::time::timeout;

use super::Proxy;
use super::defaults::RequestDefaults;
use super::exchange::{self, Exchange};
use super::keepalive;
use super::request_body::BufferedBody;
use super::scan::{ScanError, Scanner, TopLevel};
use super::target::{Target, TargetError};
use super::workers::{AcquireError, Lease};
use crate::error::ApiError;

/// Forwards a request to a worker with the model that its body names.
pub async fn by_model(State(proxy): State<Proxy>, request: Request) -> Result<Response, ApiError> {
    let (mut exchange, body) = Exchange::new(&proxy, request);
    let (target, streams) = match read(&proxy, &mut exchange, body).await {
        Ok(read) => read,
        Err(error) => return Err(exchange.fail(error)),
    };
    exchange.set_target(&target);

    let acquire = acquire(&proxy, &exchange, target);
    let mut first = acquire();
    let begin_after = proxy.options().begin_stream_after;
    let acquired = match (timeout(begin_after, &mut first).await, exchange.format()) {
        (Ok(acquired), _) => acquired,
        (Err(_), Some(format)) if streams => {
            let pending = async move { exchange.send_to(first.await, acquire).await };
            let interval = proxy.options().keepalive;
            return Ok(keepalive::response(format, Box::pin(pending), interval));
        }
        (Err(_), _) => first.await,
    };
    let (parts, body) = exchange.send_to(acquired, acquire).await?;
    Ok(exchange::response(parts, body))
}

/// Forwards a request of the gateway itself, with its own settings in place of those of the profile. The response begins once a
/// worker has the request.
pub async fn of_gateway(
    State(proxy): State<Proxy>,
    Extension(settings): Extension<RequestDefaults>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut exchange, body) = Exchange::new(&proxy, request);
    let mut target = match read(&proxy, &mut exchange, body).await {
        Ok((target, _)) => target,
        Err(error) => return Err(exchange.fail(error)),
    };
    target.defaults = Some(settings);
    exchange.set_target(&target);
    let acquire = acquire(&proxy, &exchange, target);
    let (parts, body) = exchange.send_to(acquire().await, acquire).await?;
    Ok(exchange::response(parts, body))
}

/// Waits for a worker with the target's model, each time that it is called, until a user cancels the request.
fn acquire(
    proxy: &Proxy,
    exchange: &Exchange,
    target: Target,
) -> impl Fn() -> BoxFuture<'static, Result<Lease, AcquireError>> + Send + Sync + use<> {
    let (workers, class) = (proxy.workers().clone(), exchange.class());
    let cancellation = exchange.cancellation();
    let deadline = Instant::now() + proxy.options().queue_timeout;
    let target = Arc::new(target);
    move || -> BoxFuture<'static, Result<Lease, AcquireError>> {
        let (workers, target) = (workers.clone(), target.clone());
        let cancelled = cancellation.clone().cancelled();
        Box::pin(async move {
            tokio::select! {
                acquired = workers.acquire(&target, class, deadline) => acquired,
                () = cancelled => Err(AcquireError::cancelled()),
            }
        })
    }
}

/// Forwards a request about a stored response to the worker that created it.
pub async fn by_response(
    State(proxy): State<Proxy>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut exchange, body) = Exchange::new(&proxy, request);
    let mut scanner = Scanner::default();
    match BufferedBody::read(body, proxy.options(), &mut scanner).await {
        Ok(body) => exchange.set_body(body),
        Err(error) => return Err(exchange.fail(error)),
    }
    let Path(id) = match id {
        Ok(id) => id,
        Err(error) => return Err(exchange.fail(ApiError::invalid(error.body_text()))),
    };
    let lease = match proxy.responses().get(&id) {
        Some(worker) => proxy.workers().running(&worker).await,
        None => None,
    };
    match lease {
        Some(lease) => {
            let (parts, body) = exchange.send(lease).await?;
            Ok(exchange::response(parts, body))
        }
        None => Err(exchange.fail(ApiError::not_found(format!(
            "there is no response `{id}`: it was never stored, or the worker of its model has been stopped since; send the whole \
             conversation instead"
        )))),
    }
}

/// Reads the body and finds the target; returns also whether the response is to be a stream.
async fn read(
    proxy: &Proxy,
    exchange: &mut Exchange,
    body: Body,
) -> Result<(Target, bool), ApiError> {
    let mut scanner = Scanner::default();
    let body = BufferedBody::read(body, proxy.options(), &mut scanner).await?;
    exchange.set_body(body);
    let catalog = proxy.catalog();
    let scanned = match scanner.finish() {
        // With a single model the target is known in any case, and the worker says best what is wrong with the body.
        Err(ScanError::NotAnObject) => match catalog.resolve(None) {
            Err(TargetError::Missing(_)) => return Err(ScanError::NotAnObject.into()),
            _ => TopLevel::default(),
        },
        scanned => scanned?,
    };
    let name = scanned.model.as_deref();
    let mut target = catalog
        .resolve(name)
        .inspect_err(|_| exchange.set_unresolved_model(name))?;
    target.keep_alive = scanned.keep_alive;
    exchange.set_requested(scanned.model);
    Ok((target, scanned.stream))
}

impl From<ScanError> for ApiError {
    fn from(error: ScanError) -> Self {
        let message = error.to_string();
        match error {
            ScanError::NotAnObject => Self::invalid(message),
            ScanError::DuplicateModel | ScanError::ModelType | ScanError::ModelTooLong => {
                Self::field("model", message)
            }
            ScanError::KeepAlive(field) => Self::field(field, message),
        }
    }
}
