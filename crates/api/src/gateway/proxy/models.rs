//! `GET /v1/models` and `/v1/models/{id}`: what requests can name. Starts no model.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::Value;

use super::Proxy;
use super::catalog::Catalog;
use super::target::TargetError;
use crate::error::ApiError;
use crate::openai::models::{ModelDetails, ModelEntry, list_json};

/// Lists all profiles, aliases and local models.
pub async fn list(State(proxy): State<Proxy>) -> Json<Value> {
    let catalog = proxy.catalog();
    let described: Vec<Described<'_>> = catalog
        .names()
        .into_iter()
        // An alias may stand for something that is not here.
        .filter_map(|name| Described::new(&catalog, name).ok())
        .collect();
    let entries: Vec<ModelEntry<'_>> = described.iter().map(Described::entry).collect();
    Json(list_json(&entries))
}

/// Describes what a name stands for.
pub async fn retrieve(
    State(proxy): State<Proxy>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(error.body_text()))?;
    let catalog = proxy.catalog();
    let described = Described::new(&catalog, &id)?;
    Ok(Json(described.entry().to_json()))
}

/// A name and what it stands for.
struct Described<'a> {
    name: &'a str,
    model: String,
    created: u64,
    details: Option<ModelDetails>,
    loaded: bool,
}

impl<'a> Described<'a> {
    fn new(catalog: &Catalog, name: &'a str) -> Result<Self, TargetError> {
        let target = catalog.resolve(Some(name))?;
        let model = catalog.model(&target.model);
        let profile = target.profile.as_deref();
        let profile = profile.and_then(|name| catalog.profile(name));
        Ok(Self {
            name,
            created: model.map_or(0, |model| model.created),
            loaded: match profile {
                Some(profile) => profile.loaded,
                None => model.is_some_and(|model| model.loaded),
            },
            details: catalog.details(&target),
            model: target.model,
        })
    }

    fn entry(&self) -> ModelEntry<'_> {
        ModelEntry {
            id: self.name,
            root: &self.model,
            created: self.created,
            details: self.details.as_ref(),
            loaded: Some(self.loaded),
        }
    }
}
