//! `mlxm run --url` and `mlxm bench --url` with `mlxm serve`.

use std::io::BufReader;
use std::process::{Child, Stdio};

use serde_json::json;

use crate::serve::read_startup;
use crate::support::{Checkpoint, TestEnv};

/// A running `mlxm serve`.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    /// Serves the local model `tiny`.
    fn start(env: &TestEnv) -> Self {
        let arguments = ["serve", "--model", "tiny", "--port", "0", "--json"];
        let mut command = env.command(&arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (_, ready) = read_startup(&mut BufReader::new(stdout));
        Self {
            child,
            url: ready["url"].as_str().unwrap().to_owned(),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn completions_are_equal_locally_and_remotely() {
    let env = TestEnv::new();
    let tokens = ["<think>", "h", "m", "</think>", "O", "k", "!"];
    env.local_model("tiny", &Checkpoint::saying(&tokens));
    let serving = Serving::start(&env);
    for options in [
        ["--json"].as_slice(),
        &["--json", "--max-tokens", "6"],
        &["--json", "--stop", "k"],
        &[
            "--json", "--system", "be brief", "--temp", "0.5", "--seed", "1",
        ],
        &["--json", "--logit-bias", "122=100", "--max-tokens", "4"],
        &["--json", "--raw", "--max-tokens", "3"],
    ] {
        let local = env.run(&[&["run", "tiny", "O"], options].concat());
        let url = ["run", "--url", &serving.url, "O"];
        let remote = env.run(&[&url, options].concat());
        let (local, remote) = (local.json(), remote.json());
        for field in [
            "text",
            "thinking",
            "finish_reason",
            "prompt_tokens",
            "generated_tokens",
        ] {
            assert_eq!(local[field], remote[field], "{field} with {options:?}");
        }
    }
}

#[test]
fn server_errors_are_shown_and_logprobs_returned() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::saying(&["O", "k"]));
    let serving = Serving::start(&env);
    let run = |arguments: &[&str]| env.run(&[&["run", "--url", &serving.url], arguments].concat());
    run(&["hi", "--temp", "-1"]).failure(&["400", "temperature"]);
    run(&["other", "hi"]).failure(&["404", "tiny"]);
    let scored = run(&["hi", "--json", "--logprobs", "2"]).json();
    let first = &scored["tokens"][0];
    assert_eq!(first["text"], json!("O"));
    assert_eq!(first["top_logprobs"].as_array().unwrap().len(), 2);
}

#[test]
fn bench_measures_the_server() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::echoing());
    let serving = Serving::start(&env);
    let arguments = [
        "--prompt-tokens",
        "600",
        "--gen-tokens",
        "8",
        "--batch",
        "1,3",
    ];
    let url = ["bench", "--url", &serving.url, "--json", "--repeat", "1"];
    let outcome = env.run(&[url.as_slice(), &arguments].concat());
    let rows = outcome.json();
    for row in rows.as_array().unwrap() {
        // The server honors ignore_eos, and a word of the prompts has several tokens here.
        assert_eq!(row["gen_tokens"], 8);
        let prompt_tokens = row["prompt_tokens"].as_f64().unwrap();
        assert!((prompt_tokens / 600.0 - 1.0).abs() < 0.1, "{row}");
        assert!(row["prefill_tps"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert!(!outcome.stderr.contains("server warning"), "{outcome:#?}");
}
