//! `GET /api/openapi.json`: the OpenAPI 3.1 document of everything under `/api`, generated from the handlers and their types.
//!
//! The same document is `web/openapi.json`, from which the types of the web UI are generated; a test compares them.

mod problems;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::json;
use utoipa::OpenApi;

use super::{aliases, audit, pool, profiles, servers, settings, system};
use crate::gateway::chats::runs;
use crate::gateway::events::{logs, stream};
use crate::gateway::{GatewayState, chats, clients, downloads, models};
use crate::wire::Problem;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![("/api/openapi.json", get(describe))]
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mlxm management API",
        description = "Manages the models of a machine: servers, profiles, downloads and settings. Errors are problem+json. \
            The page `/api/docs` shows this document.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        servers::list,
        servers::start_server,
        servers::show,
        servers::stop,
        servers::restart,
        servers::pin,
        servers::history::list_metrics,
        servers::requests::list_requests,
        servers::requests::cancel_request,
        logs::logs,
        logs::own_logs,
        pool::status,
        pool::plan,
        profiles::list,
        profiles::create,
        profiles::import,
        profiles::next_port,
        profiles::show,
        profiles::update,
        profiles::remove,
        profiles::duplicate,
        profiles::export,
        aliases::list,
        aliases::set,
        aliases::remove,
        models::local::list,
        models::search::search,
        models::details::show,
        models::remove::remove,
        models::remove::verify,
        downloads::routes::list,
        downloads::routes::add,
        downloads::routes::order,
        downloads::routes::retrieve,
        downloads::routes::remove,
        downloads::routes::pause,
        downloads::routes::resume,
        downloads::routes::cancel,
        downloads::routes::events,
        chats::conversations::list,
        chats::conversations::create,
        chats::conversations::change,
        chats::conversations::remove,
        chats::conversations::restore,
        chats::show::show,
        chats::export::export,
        chats::import::import,
        chats::count::count,
        chats::tree::open,
        chats::tree::fork,
        chats::tree::remove,
        chats::tree::restore,
        chats::attachments::list,
        chats::attachments::add,
        chats::attachments::content,
        chats::library::list_personas,
        chats::library::create_persona,
        chats::library::show_persona,
        chats::library::update_persona,
        chats::library::remove_persona,
        chats::library::list_prompts,
        chats::library::create_prompt,
        chats::library::show_prompt,
        chats::library::update_prompt,
        chats::library::remove_prompt,
        clients::list,
        clients::show,
        stream::events,
        settings::list,
        settings::change,
        settings::reset,
        system::info,
        system::memory,
        system::diagnose,
        audit::list,
        audit::totals,
        audit::export_rows,
        runs::routes::send_message,
        runs::routes::edit_message,
        runs::routes::regenerate_response,
        runs::routes::continue_response,
        runs::routes::show_run,
        runs::routes::stop_run,
        runs::routes::reproduce_response,
        describe,
    ),
    components(schemas(Problem))
)]
struct Document;

/// The document as JSON.
static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut document = json!(Document::openapi());
    problems::add(&mut document);
    // A value is always valid JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
});

/// Returns this document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "system",
    operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Value))
)]
pub async fn describe() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::gateway::routes::api_routes;
    use crate::wire::problem::PROBLEM_JSON;

    fn document() -> Value {
        serde_json::from_str(&JSON).unwrap()
    }

    #[test]
    fn every_route_is_described() {
        let document = document();
        let described: BTreeSet<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let served: BTreeSet<&str> = api_routes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn operations_have_unique_ids_tags_and_problems() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{method} {path}: {id}");
                assert_eq!(
                    operation["tags"].as_array().unwrap().len(),
                    1,
                    "{method} {path}"
                );
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let is_problem = response["content"].get(PROBLEM_JSON).is_some();
                    let is_error = status.parse::<u16>().unwrap() >= 400;
                    assert_eq!(is_problem, is_error, "{method} {path}: {status}");
                }
            }
        }
    }

    #[test]
    fn references_resolve() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut missing = BTreeSet::new();
        collect_references(&document, &mut |name| {
            if !schemas.contains_key(name) {
                missing.insert(name.to_owned());
            }
        });
        assert_eq!(missing, BTreeSet::new());
    }

    /// Generators of types make a union of `oneOf` whose objects each have a constant of their own; `allOf` hides it.
    #[test]
    fn unions_of_objects_have_a_tag() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        assert!(!schemas.to_string().contains("\"allOf\""));
        for (name, tag) in [
            ("Event", "topic"),
            ("ServerEvent", "type"),
            ("DownloadEvent", "type"),
            ("ModelEvent", "type"),
            ("ProfileEvent", "type"),
            ("AliasEvent", "type"),
            ("ChatsEvent", "type"),
            ("ChatEvent", "type"),
            ("RunEvent", "type"),
            ("Part", "type"),
        ] {
            let variants = schemas[name]["oneOf"].as_array().unwrap();
            let mut values = BTreeSet::new();
            for variant in variants {
                let constant = variant["properties"][tag]["enum"].as_array().unwrap();
                assert_eq!(constant.len(), 1, "{name}");
                assert!(values.insert(constant[0].as_str().unwrap()), "{name}");
                let required = variant["required"].as_array().unwrap();
                assert!(required.contains(&json!(tag)), "{name}");
            }
            assert!(values.len() > 1, "{name}");
        }
    }

    fn collect_references(value: &Value, found: &mut impl FnMut(&str)) {
        match value {
            Value::Object(fields) => {
                if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                    found(name.strip_prefix("#/components/schemas/").unwrap());
                }
                fields
                    .values()
                    .for_each(|value| collect_references(value, found));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| collect_references(item, found)),
            _ => {}
        }
    }

    /// Types of the web UI are generated from the file. It is written if it does not exist: delete it after a change of the API,
    /// and run this test.
    #[test]
    fn committed_document_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/openapi.json");
        let Ok(committed) = std::fs::read_to_string(&path) else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &*JSON).unwrap();
            return;
        };
        assert!(
            committed == *JSON,
            "web/openapi.json differs from the API: delete it, and run the test again to write it"
        );
    }
}
