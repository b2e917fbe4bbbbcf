//! `/v1/chat/completions`.

use mlxm_api::{FormatOverride, ServerOptions};
use mlxm_chat::parsing::ToolFormat;
use serde_json::{Value, json};

use crate::support::{TestServer, chat, content, load_options, server_options, start, start_with};

const ROUTE: &str = "/v1/chat/completions";

/// The content of a stream.
fn streamed(events: &[(String, Value)]) -> String {
    let deltas = events
        .iter()
        .filter_map(|(_, data)| data["choices"][0]["delta"]["content"].as_str());
    deltas.collect()
}

#[tokio::test]
async fn stream_has_the_content_and_usage_of_the_completion() {
    let server = start().await;
    let body = chat(
        "Hello there",
        json!({"temperature": 1.0, "seed": 7, "max_tokens": 40}),
    );
    let completion = server.ok(ROUTE, &body).await;
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["choices"][0]["message"]["role"], "assistant");
    let mut body = body;
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let events = server.events(ROUTE, &body).await;
    assert_eq!(streamed(&events), content(&completion));
    assert_eq!(events[0].1["choices"][0]["delta"]["role"], "assistant");
    let [.., (_, last), (_, usage), (_, done)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(
        last["choices"][0]["finish_reason"],
        completion["choices"][0]["finish_reason"]
    );
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"]["completion_tokens"],
        completion["usage"]["completion_tokens"]
    );
    assert_eq!(done, "[DONE]");
    let ids: Vec<_> = events[..events.len() - 1]
        .iter()
        .map(|(_, data)| &data["id"])
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn choices_differ_and_a_seed_reproduces_them() {
    let server = start().await;
    let body = chat(
        "Hi",
        json!({"temperature": 1.0, "seed": -3, "max_tokens": 24, "n": 3}),
    );
    let texts = async |server: &TestServer| -> Vec<String> {
        let body = server.ok(ROUTE, &body).await;
        assert!(body["usage"]["completion_tokens"].as_u64().unwrap() > 24);
        let choices = body["choices"].as_array().unwrap();
        choices
            .iter()
            .map(|choice| choice["message"]["content"].to_string())
            .collect()
    };
    let first = texts(&server).await;
    assert_eq!(first.len(), 3);
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_eq!(texts(&server).await, first);
}

#[tokio::test]
async fn logprobs_have_an_entry_for_each_token_with_and_without_streaming() {
    let server = start().await;
    let more = json!({"max_tokens": 12, "logprobs": true, "top_logprobs": 3, "ignore_eos": true});
    let mut body = chat("Hi", more);
    let completion = server.ok(ROUTE, &body).await;
    let entries = completion["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(entries.len(), 12);
    for entry in &entries {
        assert_eq!(entry["top_logprobs"].as_array().unwrap().len(), 3);
        // Sampling is greedy, so the first alternative is the sampled token.
        assert_eq!(entry["logprob"], entry["top_logprobs"][0]["logprob"]);
        assert!(entry["logprob"].as_f64().unwrap() <= 0.0);
    }
    body["stream"] = true.into();
    let events = server.events(ROUTE, &body).await;
    let streamed = events
        .iter()
        .filter_map(|(_, data)| data["choices"][0]["logprobs"]["content"].as_array());
    assert_eq!(streamed.flatten().cloned().collect::<Vec<_>>(), entries);
}

#[tokio::test]
async fn stop_strings_and_max_tokens_end_a_completion() {
    let server = start().await;
    let long = server
        .ok(
            ROUTE,
            &chat("Hi", json!({"max_tokens": 60, "ignore_eos": true})),
        )
        .await;
    assert_eq!(long["choices"][0]["finish_reason"], "length");
    let text = content(&long);
    let stop: String = text.chars().skip(5).take(2).collect();
    let body = chat(
        "Hi",
        json!({"max_tokens": 60, "ignore_eos": true, "stop": stop}),
    );
    let stopped = server.ok(ROUTE, &body).await;
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(content(&stopped), text.split(&stop).next().unwrap());
}

#[tokio::test]
async fn unknown_fields_are_named_in_a_warning_or_rejected_if_strict() {
    let server = start().await;
    let body = chat(
        "Hi",
        json!({"max_tokens": 1, "user": "me", "invented": 1, "other": [2]}),
    );
    let response = server.request(ROUTE, &body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let warning = response.headers()["warning"].to_str().unwrap().to_owned();
    assert_eq!(
        warning,
        "299 - \"unknown fields were ignored: invented, other\""
    );
    let mut options = server_options();
    options.strict = true;
    let strict = start_with("llama-4bit", &load_options(), options).await;
    let (status, message) = strict.error(ROUTE, &body).await;
    assert_eq!(
        (status, message.contains("`invented`")),
        (400, true),
        "{message}"
    );
}

#[tokio::test]
async fn tools_are_added_to_the_prompt_if_the_template_does_not_support_them() {
    let server = start().await;
    let tool =
        json!({"type": "function", "function": {"name": "now", "description": "Tells the time"}});
    let with = chat("Time?", json!({"tools": [tool]}));
    let prompt = server.ok("/apply-template", &with).await["prompt"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        prompt.contains("Tells the time") && prompt.contains("<tool_call>"),
        "{prompt}"
    );
    // The prefix of the prompt stays cached.
    let mut none = with;
    none["tool_choice"] = "none".into();
    assert_eq!(server.ok("/apply-template", &none).await["prompt"], prompt);
}

#[tokio::test]
async fn chosen_tool_call_parser_decides_how_tools_are_described() {
    let tool =
        json!({"type": "function", "function": {"name": "now", "description": "Tells the time"}});
    let request = chat("Time?", json!({"tools": [tool]}));
    for (parser, is_described) in [(None, false), (Some(ToolFormat::Qwen3Coder), true)] {
        let options = ServerOptions {
            format: FormatOverride {
                tools: Some(parser),
                ..FormatOverride::default()
            },
            ..server_options()
        };
        let server = start_with("llama-4bit", &load_options(), options).await;
        let body = server.ok("/apply-template", &request).await;
        let prompt = body["prompt"].as_str().unwrap();
        assert_eq!(prompt.contains("Tells the time"), is_described, "{prompt}");
        assert!(!prompt.contains("<tool_call>"), "{prompt}");
    }
}

#[tokio::test]
async fn timings_are_returned_on_request() {
    let server = start().await;
    let body = server
        .ok(
            ROUTE,
            &chat("Hi", json!({"max_tokens": 4, "timings": true})),
        )
        .await;
    let timings = &body["choices"][0]["timings"];
    assert!(
        timings["time_to_first_token_ms"].as_f64().unwrap()
            >= timings["queue_ms"].as_f64().unwrap()
    );
    let body = server
        .ok(ROUTE, &chat("Hi", json!({"max_tokens": 4})))
        .await;
    assert_eq!(body["choices"][0].get("timings"), None);
}
