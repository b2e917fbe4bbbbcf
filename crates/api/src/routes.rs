//! The routes, a table of contents.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};

use crate::error::ApiError;
use crate::openai::{chat, completions, embeddings, models, tokens};
use crate::responses::{create, stored};
use crate::server::Server;
use crate::{anthropic, health, layers};

/// All routes of one model's server.
pub fn router(server: Server) -> Router {
    let limit = server.options().limits.body_bytes;
    let inference = Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/responses", post(create::create))
        .route(
            "/v1/responses/{id}",
            get(stored::retrieve).delete(stored::delete),
        )
        .route("/v1/responses/{id}/input_items", get(stored::input_items))
        .route("/v1/responses/{id}/cancel", post(stored::cancel))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/messages", post(anthropic::messages::create))
        .route(
            "/v1/messages/count_tokens",
            post(anthropic::messages::count_tokens),
        )
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/apply-template", post(tokens::apply_template))
        .layer(axum::middleware::from_fn_with_state(
            server.clone(),
            layers::authorize,
        ));
    let router = Router::new()
        .merge(inference)
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(async |uri: Uri| -> Response {
            ApiError::method_not_allowed().response_in(layers::protocol_of(uri.path()))
        })
        .layer(DefaultBodyLimit::max(limit));
    layers::around(router, &server).with_state(server)
}

async fn unknown_route(uri: Uri) -> Response {
    let message = format!("there is no route {}", uri.path());
    ApiError::not_found(message).response_in(layers::protocol_of(uri.path()))
}
