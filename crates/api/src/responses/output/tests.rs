use mlxm_engine::{LengthCause, RequestMetrics, StopCause};

use super::super::client_tools::functions;
use super::*;

fn chunk(parts: &[Part]) -> ChatChunk {
    ChatChunk {
        parts: parts.to_vec(),
        text: String::new(),
        token: Some(1),
        logprob: Some(TokenLogprob {
            token: 1,
            logprob: -0.5,
            top: Vec::new(),
        }),
        ..ChatChunk::default()
    }
}

fn end(reason: FinishReason) -> ChatChunk {
    ChatChunk {
        finish: Some(Finish {
            reason,
            metrics: RequestMetrics::default(),
            prompt_logprobs: Vec::new(),
            tokens_past_text: 0,
        }),
        ..ChatChunk::default()
    }
}

fn content(text: &str) -> Part {
    Part::Content(text.to_owned())
}

fn chunks() -> Vec<ChatChunk> {
    let call = |index| Part::ToolCall {
        index,
        name: "now".to_owned(),
    };
    let arguments = |index, delta: &str| Part::Arguments {
        index,
        delta: delta.to_owned(),
    };
    vec![
        chunk(&[]),
        chunk(&[Part::Reasoning("h".to_owned())]),
        chunk(&[Part::Reasoning("m".to_owned())]),
        chunk(&[]),
        chunk(&[content("Let me ")]),
        chunk(&[content("see."), call(0), arguments(0, "{\"zone\": ")]),
        chunk(&[arguments(0, "1}"), call(1), arguments(1, "{}")]),
    ]
}

fn finished_chunks() -> Vec<ChatChunk> {
    let mut chunks = chunks();
    chunks.push(end(FinishReason::ToolCalls));
    chunks
}

fn run(chunks: Vec<ChatChunk>) -> (Output, Vec<Event>, Option<OutputSummary>) {
    let mut output = Output::default();
    let mut summary = None;
    for chunk in chunks {
        summary = output.push(chunk, |logprob| Some(json!({"logprob": logprob.logprob})));
    }
    let events = output.take_events();
    (output, events, summary)
}

#[test]
fn events_have_the_order_of_the_openai_api() {
    let (_, events, summary) = run(finished_chunks());
    let names: Vec<&str> = events
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("response."))
        .collect();
    let expected = [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ];
    assert_eq!(names, expected);
    assert!(summary.unwrap().is_complete());
}

#[test]
fn items_match_the_streamed_events() {
    let (output, events, summary) = run(finished_chunks());
    let items = output.items();
    let kinds: Vec<&str> = items
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["reasoning", "message", "function_call", "function_call"]
    );
    assert_eq!(
        items[0]["content"],
        json!([{"type": "reasoning_text", "text": "hm"}])
    );
    assert_eq!(items[1]["content"][0]["text"], "Let me see.");
    assert_eq!(items[2]["arguments"], "{\"zone\": 1}");
    assert_eq!(items[3]["arguments"], "{}");
    assert_ne!(items[2]["call_id"], items[3]["call_id"]);
    let done: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| *name == "response.output_item.done")
        .map(|(_, data)| &data["item"])
        .collect();
    assert_eq!(done, items.iter().collect::<Vec<_>>());
    for (name, data) in &events {
        let index = usize::try_from(data["output_index"].as_u64().unwrap()).unwrap();
        let id = data.get("item_id").unwrap_or(&data["item"]["id"]);
        assert_eq!(*id, items[index]["id"], "{name}");
    }
    // Tokens without text count for the item that follows: three are reasoning, three are the message.
    assert_eq!(
        summary.unwrap().usage()["output_tokens_details"]["reasoning_tokens"],
        3
    );
    assert_eq!(
        items[1]["content"][0]["logprobs"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn custom_tool_calls_have_items_and_events_of_their_own() {
    let tool = json!({"type": "custom", "name": "edit"});
    let mut kinds = ToolKinds::default();
    for (function, kind) in functions(&tool).unwrap() {
        kinds.insert(&function, kind);
    }
    let call = Part::ToolCall {
        index: 0,
        name: "edit".to_owned(),
    };
    let arguments = |delta: &str| Part::Arguments {
        index: 0,
        delta: delta.to_owned(),
    };
    let mut output = Output::new(kinds);
    for chunk in [
        chunk(&[call, arguments("{\"input\": \"a")]),
        chunk(&[arguments("b\"}")]),
        end(FinishReason::ToolCalls),
    ] {
        output.push(chunk, |_| None);
    }
    let item = &output.items()[0];
    assert_eq!(
        (&item["type"], &item["input"]),
        (&json!("custom_tool_call"), &json!("ab"))
    );
    let events = output.take_events();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
        ]
    );
    assert_eq!(events[1].1["delta"], "ab");
}

#[test]
fn truncated_output_is_incomplete() {
    let (output, _, summary) = run(vec![
        chunk(&[content("Once")]),
        end(FinishReason::Length(LengthCause::MaxTokens)),
    ]);
    assert!(!summary.unwrap().is_complete());
    assert_eq!(output.items()[0]["status"], "incomplete");
    let (output, _, _) = run(vec![chunk(&[content("Once")])]);
    assert_eq!(output.items()[0]["status"], "incomplete");
    let (output, events, _) = run(vec![end(FinishReason::Stop(StopCause::ConstraintComplete))]);
    assert_eq!(output.items()[0]["content"][0]["text"], "");
    assert_eq!(events.len(), 5);
}
