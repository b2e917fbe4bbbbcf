//! `mlxm bench` and `mlxm perplexity`.

use std::fs;

use crate::support::{Checkpoint, TestEnv};

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    env
}

#[test]
fn bench_prints_a_row_per_batch_size() {
    let env = env();
    let arguments = [
        "bench",
        "tiny",
        "--prompt-tokens",
        "40",
        "--gen-tokens",
        "8",
        "--batch",
        "1,3",
        "--threads",
        "2",
        "--repeat",
        "2",
    ];
    let rows = env
        .run(&[arguments.as_slice(), &["--json"]].concat())
        .json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["batch"], 3);
    for row in rows {
        assert_eq!(
            (row["prompt_tokens"].as_u64(), row["gen_tokens"].as_u64()),
            (Some(40), Some(8))
        );
        for field in ["prefill_tps", "decode_tps", "ttft_ms", "peak_rss_bytes"] {
            assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
        }
    }
    let table = env.run(&arguments);
    assert!(
        table
            .success()
            .lines()
            .next()
            .unwrap()
            .contains("PREFILL TOK/S"),
        "{table:#?}"
    );
    assert_eq!(table.stdout.lines().count(), 3);
}

#[test]
fn bench_rejects_a_context_beyond_the_model() {
    env()
        .run(&[
            "bench",
            "tiny",
            "--prompt-tokens",
            "5000",
            "--gen-tokens",
            "8",
        ])
        .failure(&["4096"]);
}

/// The model predicts `b` after `a` with certainty: its perplexity is close to 1 on `abcabc…` and high on other text.
#[test]
fn perplexity_is_low_only_on_predicted_text() {
    let env = env();
    fs::write(env.path().join("expected.txt"), "abc".repeat(60)).unwrap();
    fs::write(env.path().join("other.txt"), "cba".repeat(60)).unwrap();
    let perplexity = |arguments: &[&str]| {
        env.run(&[&["perplexity", "tiny"], arguments].concat())
            .json()
    };
    let expected = perplexity(&["expected.txt", "--context-length", "32", "--json"]);
    let other = perplexity(&["other.txt", "--context-length", "32", "--json"]);
    assert_eq!(
        (
            expected["tokens"].as_u64(),
            expected["scored_tokens"].as_u64()
        ),
        (Some(180), Some(179))
    );
    assert_eq!(
        (expected["context"].as_u64(), expected["stride"].as_u64()),
        (Some(32), Some(16))
    );
    let value = |score: &serde_json::Value| score["perplexity"].as_f64().unwrap();
    assert!(value(&expected) < 1.01, "{expected}");
    assert!(value(&other) > 100.0, "{other}");
    // This model only uses the last token, so the windows do not change the result.
    let strided = perplexity(&[
        "expected.txt",
        "--context-length",
        "64",
        "--stride",
        "5",
        "--json",
    ]);
    assert!(
        (value(&strided) - value(&expected)).abs() < 1e-5,
        "{strided} {expected}"
    );
}

#[test]
fn perplexity_rejects_invalid_arguments() {
    let env = env();
    fs::write(env.path().join("short.txt"), "a").unwrap();
    env.run(&["perplexity", "tiny", "short.txt"])
        .failure_with(2, &["at least 2"]);
    env.run(&["perplexity", "tiny", "absent.txt"])
        .failure(&["absent.txt"]);
    let arguments = [
        "perplexity",
        "tiny",
        "short.txt",
        "--context-length",
        "8",
        "--stride",
        "9",
    ];
    env.run(&arguments).failure_with(2, &["--stride 9"]);
}
