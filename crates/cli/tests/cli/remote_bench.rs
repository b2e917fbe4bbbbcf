//! `mlxm bench --url` with a fake server.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::server::{FakeServer, Received, Reply, event};
use crate::support::{Outcome, TestEnv};

fn bench(server: &FakeServer, arguments: &[&str]) -> Outcome {
    let url = server.url();
    let arguments = [&["bench", "--url", &url, "--repeat", "2"], arguments].concat();
    TestEnv::new().run(&arguments)
}

/// A completion of `tokens` tokens, two per delta. The prompt has a token per word and three more.
fn completion(request: &Received, tokens: u64) -> Reply {
    let prompt = request.body["prompt"].as_str().unwrap();
    let prompt_tokens = prompt.split(' ').count() + 3;
    let delta = event(&json!({"choices": [{"text": "a b", "finish_reason": null}]}));
    let mut deltas = vec![delta; tokens.div_ceil(2) as usize];
    let end = json!({"choices": [{"text": "", "finish_reason": "length"}]});
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": tokens});
    deltas.push(event(&end) + &event(&json!({"choices": [], "usage": usage})) + "data: [DONE]\n\n");
    Reply::stream(deltas)
}

#[test]
fn rows_have_no_peak_memory() {
    let server = FakeServer::start(&["tiny"], |request| {
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
    // Two to estimate tokens per word, then one warm-up run and two measured runs of each batch.
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
        "prompts must differ to avoid prefix cache hits"
    );

    let table = bench(&server, &arguments);
    assert!(table.success().contains("PREFILL TOK/S"), "{table:#?}");
    assert!(
        table.stdout.lines().nth(1).unwrap().ends_with('–'),
        "{table:#?}"
    );
}

#[test]
fn requests_of_a_batch_are_concurrent() {
    const BATCH: usize = 3;
    let waiting = (Mutex::new(0), Condvar::new());
    let server = FakeServer::start(&["tiny"], move |request| {
        let tokens = request.body["max_tokens"].as_u64().unwrap();
        if tokens > 1 {
            let (count, changed) = &waiting;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let all = usize::div_ceil(*count, BATCH) * BATCH;
            let timeout = Duration::from_mins(1);
            let result = changed.wait_timeout_while(count, timeout, |count| *count < all);
            if result.unwrap().1.timed_out() {
                return Reply::json(500, &json!({"error": {"message": "not concurrent"}}));
            }
        }
        completion(request, tokens)
    });
    bench(&server, &["--batch", "3", "--gen-tokens", "8"]).success();
}

#[test]
fn short_completions_cause_a_warning() {
    let server = FakeServer::start(&["tiny"], |request| completion(request, 5));
    let outcome = bench(&server, &["--gen-tokens", "8", "--json"]);
    assert_eq!(outcome.json()[0]["gen_tokens"], json!(5));
    assert!(
        outcome.stderr.contains("5 tokens on average instead of 8"),
        "{outcome:#?}"
    );
}

#[test]
fn bench_fails_without_usage_text_or_a_single_model() {
    let without_usage = FakeServer::start(&["tiny"], |_| {
        let delta = event(&json!({"choices": [{"text": "a", "finish_reason": "stop"}]}));
        Reply::stream([delta, "data: [DONE]\n\n".to_owned()])
    });
    bench(&without_usage, &[]).failure(&["usage"]);
    let without_text = FakeServer::start(&["tiny"], |request| completion(request, 0));
    bench(&without_text, &[]).failure(&["without text"]);
    let rejecting = FakeServer::start(&["tiny"], |_| {
        Reply::json(400, &json!({"error": {"message": "prompt too long"}}))
    });
    bench(&rejecting, &[]).failure(&["prompt too long"]);
    let several = FakeServer::start(&["a", "b"], |request| completion(request, 1));
    bench(&several, &[]).failure(&["2 models"]);
    bench(&several, &["a", "--gen-tokens", "1"]).success();
    let models: Vec<Value> = several
        .received()
        .iter()
        .map(|request| request.body["model"].clone())
        .collect();
    assert!(models.iter().all(|model| model == "a"), "{models:?}");
    bench(&several, &["a", "--threads", "2"]).failure_with(2, &["--threads", "--url"]);
}
