//! Progress of the prompt in streams.

use mlxm_engine::LoadOptions;
use serde_json::{Value, json};

use crate::support::{chat, load_options, server_options, start_with};

const ROUTE: &str = "/v1/chat/completions";

#[tokio::test]
async fn prompt_progress_comes_before_the_first_token_on_request() {
    let load = LoadOptions {
        max_batch_tokens: 32,
        ..load_options()
    };
    let server = start_with("llama-4bit", &load, server_options()).await;
    let mut body = chat(
        &"word ".repeat(30),
        json!({"stream": true, "return_progress": true, "max_tokens": 3, "ignore_eos": true}),
    );
    body["stream_options"] = json!({"include_usage": true});
    for cached in [false, true] {
        let events = server.events(ROUTE, &body).await;
        let progress: Vec<&Value> = events
            .iter()
            .map(|(_, data)| &data["prompt_progress"])
            .collect();
        let reported = progress.iter().skip_while(|value| value.is_null());
        let reported: Vec<&&Value> = reported.take_while(|value| !value.is_null()).collect();
        let total = progress.iter().filter(|value| !value.is_null()).count();
        assert_eq!(reported.len(), total, "{events:?}");
        // Only the first chunk, with the role, is before them.
        assert!(
            progress[0].is_null() && !progress[1].is_null(),
            "{events:?}"
        );
        let last = reported[reported.len() - 1];
        assert_eq!(last["processed"], last["total"]);
        let usage = &events[events.len() - 2].1["usage"];
        assert_eq!(last["total"], usage["prompt_tokens"]);
        assert_eq!(last["cache"].as_u64() > Some(0), cached, "{events:?}");
        assert!(cached || reported.len() > 1, "{events:?}");
        let processed = reported.iter().map(|value| value["processed"].as_u64());
        assert!(processed.is_sorted());
        assert!(reported.iter().all(|value| value["time_ms"].is_u64()));
    }
}

#[tokio::test]
async fn prompt_progress_is_not_sent_without_a_stream_or_a_request_for_it() {
    let server = start_with("llama-4bit", &load_options(), server_options()).await;
    let body = chat("Hi", json!({"return_progress": true, "max_tokens": 2}));
    let body = server.ok(ROUTE, &body).await;
    assert!(body.get("prompt_progress").is_none(), "{body}");
    let body = chat("Hi", json!({"stream": true, "max_tokens": 2}));
    for (_, data) in server.events(ROUTE, &body).await {
        assert!(data.get("prompt_progress").is_none(), "{data}");
    }
}
