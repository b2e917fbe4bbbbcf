//! `mlxm bench --url`: the speed of a server.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::server::{ChatServer, Received, Reply, event};
use crate::support::{Outcome, TestEnv};

fn bench(server: &ChatServer, arguments: &[&str]) -> Outcome {
    let url = server.url();
    let arguments = [&["bench", "--url", &url, "--repeat", "2"], arguments].concat();
    TestEnv::new().run(&arguments)
}

/// As many tokens as the prompt has words, three more around them, and `tokens` of the answer, two in each piece.
fn completion(request: &Received, tokens: u64) -> Reply {
    let prompt = request.body["prompt"].as_str().unwrap();
    let prompt_tokens = prompt.split(' ').count() + 3;
    let piece = event(&json!({"choices": [{"text": "a b", "finish_reason": null}]}));
    let mut pieces = vec![piece; tokens.div_ceil(2) as usize];
    let end = json!({"choices": [{"text": "", "finish_reason": "length"}]});
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": tokens});
    pieces.push(event(&end) + &event(&json!({"choices": [], "usage": usage})) + "data: [DONE]\n\n");
    Reply::stream(pieces)
}

#[test]
fn rows_are_those_of_a_local_model_without_its_memory() {
    let server = ChatServer::start(&["tiny"], |request| {
        completion(request, request.body["max_tokens"].as_u64().unwrap())
    });
    let arguments = [
        "--prompt-tokens",
        "40",
        "--gen-tokens",
        "8",
        "--batch",
        "1,3",
    ];
    let rows = bench(&server, &[arguments.as_slice(), &["--json"]].concat()).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, batch) in rows.iter().zip([1, 3]) {
        assert_eq!(
            (&row["batch"], &row["prompt_tokens"], &row["gen_tokens"]),
            (&json!(batch), &json!(40), &json!(8))
        );
        for field in ["prefill_tps", "ttft_ms"] {
            assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
        }
        assert!(row.get("peak_rss_bytes").is_none(), "{row}");
    }
    let received = server.received();
    // Two to learn how long prompts are, then each batch once to warm up and twice to measure.
    assert_eq!(received.len(), 2 + 3 * (1 + 3));
    let mut prompts: Vec<String> = Vec::new();
    for request in &received {
        assert_eq!(request.path, "/v1/completions");
        assert_eq!(request.body["ignore_eos"], json!(true));
        assert_eq!(request.body["temperature"], json!(0));
        prompts.push(request.body["prompt"].as_str().unwrap().to_owned());
    }
    prompts.sort();
    prompts.dedup();
    assert_eq!(
        prompts.len(),
        received.len(),
        "prompts differ, so that no cache helps"
    );

    let table = bench(&server, &arguments);
    assert!(table.success().contains("PREFILL TOK/S"), "{table:#?}");
    assert!(
        table.stdout.lines().nth(1).unwrap().ends_with('–'),
        "{table:#?}"
    );
}

#[test]
fn the_requests_of_a_batch_are_under_way_together() {
    const BATCH: usize = 3;
    let waiting = (Mutex::new(0), Condvar::new());
    let server = ChatServer::start(&["tiny"], move |request| {
        let tokens = request.body["max_tokens"].as_u64().unwrap();
        if tokens > 1 {
            let (count, changed) = &waiting;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let whole = usize::div_ceil(*count, BATCH) * BATCH;
            let patience = Duration::from_mins(1);
            let result = changed.wait_timeout_while(count, patience, |count| *count < whole);
            if result.unwrap().1.timed_out() {
                return Reply::json(500, &json!({"error": {"message": "alone"}}));
            }
        }
        completion(request, tokens)
    });
    bench(&server, &["--batch", "3", "--gen-tokens", "8"]).success();
}

#[test]
fn answers_that_end_early_are_told() {
    let server = ChatServer::start(&["tiny"], |request| completion(request, 5));
    let outcome = bench(&server, &["--gen-tokens", "8", "--json"]);
    assert_eq!(outcome.json()[0]["gen_tokens"], json!(5));
    assert!(
        outcome.stderr.contains("5 tokens on average instead of 8"),
        "{outcome:#?}"
    );
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let uncounted = ChatServer::start(&["tiny"], |_| {
        let piece = event(&json!({"choices": [{"text": "a", "finish_reason": "stop"}]}));
        Reply::stream([piece, "data: [DONE]\n\n".to_owned()])
    });
    bench(&uncounted, &[]).failure(&["usage"]);
    let silent = ChatServer::start(&["tiny"], |request| completion(request, 0));
    bench(&silent, &[]).failure(&["without text"]);
    let refusing = ChatServer::start(&["tiny"], |_| {
        Reply::json(400, &json!({"error": {"message": "prompt too long"}}))
    });
    bench(&refusing, &[]).failure(&["prompt too long"]);
    let several = ChatServer::start(&["a", "b"], |request| completion(request, 1));
    bench(&several, &[]).failure(&["2 models"]);
    bench(&several, &["a", "--gen-tokens", "1"]).success();
    let models: Vec<Value> = several
        .received()
        .iter()
        .map(|one| one.body["model"].clone())
        .collect();
    assert!(models.iter().all(|model| model == "a"), "{models:?}");
    bench(&several, &["a", "--threads", "2"]).failure_with(2, &["--threads", "--url"]);
}
