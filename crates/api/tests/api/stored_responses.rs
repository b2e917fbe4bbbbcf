//! Stored responses of `/v1/responses`.

use mlxm_api::{AppState, MemoryLimits, MemoryStore};
use serde_json::{Value, json};

use crate::responses::{ROUTE, body, json_of, send, text};
use crate::stepper::Stepper;
use crate::support::{golden, load_options, serve_with, server_options, start};

#[tokio::test]
async fn stored_responses_can_be_continued_listed_and_deleted() {
    let server = start().await;
    let first = server
        .ok(ROUTE, &body("Hi", json!({"instructions": "Be brief."})))
        .await;
    let id = first["id"].as_str().unwrap();
    let second = server
        .ok(ROUTE, &body("And?", json!({"previous_response_id": id})))
        .await;
    assert_eq!(second["previous_response_id"], id);
    // Instructions apply to one response only.
    let items = json!([
        {"role": "user", "content": "Hi"},
        first["output"][0],
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
    ]);
    let mut request = body("", json!({}));
    request["input"] = items;
    let explicit = server.ok(ROUTE, &request).await;
    assert_eq!(text(&second), text(&explicit));
    assert_eq!(
        second["usage"]["input_tokens"],
        explicit["usage"]["input_tokens"]
    );

    let second_id = second["id"].as_str().unwrap();
    let (_, items) = json_of(
        &server,
        &format!("{ROUTE}/{second_id}/input_items?order=asc"),
    )
    .await;
    let roles: Vec<&Value> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["role"])
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(items["data"][1], first["output"][0]);
    assert_eq!(
        (&items["object"], &items["has_more"]),
        (&json!("list"), &json!(false))
    );
    let (_, newest) = json_of(&server, &format!("{ROUTE}/{second_id}/input_items?limit=1")).await;
    assert_eq!(newest["data"][0], items["data"][2]);
    assert_eq!(newest["has_more"], true);

    // Responses that continue a deleted one are not affected.
    let (status, deleted) = send(&server, reqwest::Method::DELETE, &format!("{ROUTE}/{id}")).await;
    assert_eq!(
        (status, deleted),
        (
            200,
            json!({"id": id, "object": "response", "deleted": true})
        )
    );
    assert_eq!(
        send(&server, reqwest::Method::DELETE, &format!("{ROUTE}/{id}"))
            .await
            .0,
        404
    );
    assert_eq!(json_of(&server, &format!("{ROUTE}/{id}")).await.0, 404);
    let (status, error) = server
        .post(ROUTE, &body("And?", json!({"previous_response_id": id})))
        .await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    assert_eq!(error["error"]["param"], "previous_response_id");
    server
        .ok(
            ROUTE,
            &body("And?", json!({"previous_response_id": second_id})),
        )
        .await;
}

#[tokio::test]
async fn response_with_store_false_is_not_found() {
    let server = start().await;
    let response = server.ok(ROUTE, &body("Hi", json!({"store": false}))).await;
    assert_eq!(response["store"], false);
    let id = response["id"].as_str().unwrap();
    let route = format!("{ROUTE}/{id}");
    assert_eq!(json_of(&server, &route).await.0, 404);
    assert_eq!(
        json_of(&server, &format!("{route}/input_items")).await.0,
        404
    );
    assert_eq!(
        send(&server, reqwest::Method::POST, &format!("{route}/cancel"))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn least_recently_used_response_is_evicted() {
    let limits = MemoryLimits {
        responses: 2,
        ..MemoryLimits::default()
    };
    let server = AppState::starting_with(server_options(), MemoryStore::new(limits));
    let server = serve_with(&golden("llama-4bit"), &load_options(), server).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let response = server.ok(ROUTE, &body("Hi", json!({}))).await;
        ids.push(response["id"].as_str().unwrap().to_owned());
    }
    let mut found = Vec::new();
    for id in ids {
        found.push(server.get(&format!("{ROUTE}/{id}")).await.0);
    }
    assert_eq!(found, [404, 200, 200]);
}

#[tokio::test]
async fn response_of_a_disconnected_client_is_not_stored() {
    let server = start().await;
    let stepper = Stepper::hold(&server.engine);
    let request = body(
        "Hi",
        json!({"stream": true, "max_output_tokens": 100, "ignore_eos": true}),
    );
    let mut response = server.request(ROUTE, &request).send().await.unwrap();
    let first = String::from_utf8(response.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    let id = first
        .split("\"resp_")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    stepper.step(8);
    drop(response);
    server
        .wait_for_metric("mlxm_requests_aborted_total", 1.0)
        .await;
    stepper.step(2);
    assert_eq!(
        server.engine.stats().requests_running,
        1,
        "only the stepper's request"
    );
    assert_eq!(server.get(&format!("{ROUTE}/resp_{id}")).await.0, 404);
}
