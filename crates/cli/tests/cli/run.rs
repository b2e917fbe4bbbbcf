//! `mlxm run` with a prompt and a local model.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Checkpoint, Outcome, TestEnv};

const MODEL: &str = "tiny";

fn env(checkpoint: &Checkpoint) -> TestEnv {
    let env = TestEnv::new();
    env.local_model(MODEL, checkpoint);
    env
}

fn with_input(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    Outcome::from(child.wait_with_output().unwrap())
}

#[test]
fn completion_is_printed_with_a_final_newline() {
    let env = env(&Checkpoint::saying(&["P", "a", "r", "i", "s", "."]));
    let outcome = env.run(&["run", MODEL, "capital of France?"]);
    assert_eq!(outcome.success(), "Paris.\n");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn model_is_found_by_path_or_part_of_its_name() {
    let env = TestEnv::new();
    let folder = env.local_model("owner/Tiny-Model-4bit", &Checkpoint::saying(&["y"]));
    for name in [
        folder.to_str().unwrap(),
        "owner/Tiny-Model-4bit",
        "tiny-model-4bit",
        "TINY",
    ] {
        assert_eq!(env.run(&["run", name, "?"]).success(), "y\n", "{name}");
    }
}

#[test]
fn standard_input_is_the_prompt_or_appended_to_it() {
    let env = env(&Checkpoint::saying(&["o", "k"]));
    let tokens = |arguments: &[&str], input: &str| {
        let outcome = with_input(&mut env.command(arguments), input);
        outcome.json()["prompt_tokens"].as_u64().unwrap()
    };
    let template = tokens(&["run", MODEL, "--json", "x"], "") - 1;
    assert_eq!(tokens(&["run", MODEL, "--json"], "12345\n"), template + 5);
    assert_eq!(
        tokens(&["run", MODEL, "--json", "abc"], "12345"),
        template + 3 + 2 + 5
    );
}

/// Runs the command with a pipe as standard input that sends `input` and stays open until the command has ended.
fn with_open_input(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut open = child.stdin.take().unwrap();
    open.write_all(input.as_bytes()).unwrap();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    drop(open);
    outcome
}

#[test]
fn prompt_does_not_wait_for_an_open_pipe_that_sends_nothing() {
    let env = env(&Checkpoint::saying(&["o", "k"]));
    let outcome = with_open_input(&mut env.command(&["run", MODEL, "?"]), "");
    assert_eq!(outcome.success(), "ok\n");
    assert!(
        outcome.stderr.contains("standard input is open"),
        "{outcome:#?}"
    );
    let quiet = with_open_input(&mut env.command(&["run", MODEL, "?", "-q"]), "");
    assert_eq!(quiet.success(), "ok\n");
    assert_eq!(quiet.stderr, "");
}

#[test]
fn missing_prompt_is_a_usage_error() {
    let env = env(&Checkpoint::saying(&["o"]));
    env.run(&["run", MODEL]).failure_with(2, &["no prompt"]);
    env.run(&["run", MODEL, ""])
        .failure_with(2, &["prompt is empty"]);
}

#[test]
fn json_output_has_text_reasoning_logprobs_and_metrics() {
    let env = env(&Checkpoint::saying(&[
        "<think>", "h", "m", "</think>", "O", "k",
    ]));
    let result = env
        .run(&["run", MODEL, "?", "--json", "--logprobs", "2"])
        .json();
    assert_eq!(result["text"], "Ok");
    assert_eq!(result["thinking"], "hm");
    assert_eq!(result["finish_reason"], "stop");
    assert_eq!(result["generated_tokens"], 7);
    let tokens = result["tokens"].as_array().unwrap();
    assert_eq!(tokens[1]["text"], "h");
    assert_eq!(tokens[1]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(tokens[1]["top_logprobs"][0]["id"], tokens[1]["id"]);
    for field in [
        "time_to_first_token_ms",
        "prompt_tokens_per_second",
        "peak_memory_bytes",
    ] {
        assert!(result[field].as_f64().unwrap() > 0.0, "{field}: {result}");
    }
}

#[test]
fn stream_json_prints_deltas_then_the_result() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let outcome = env.run(&["run", MODEL, "?", "--stream-json"]);
    let lines: Vec<serde_json::Value> = outcome
        .success()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text: String = lines
        .iter()
        .filter(|line| line["type"] == "text")
        .map(|line| line["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, "Ok");
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["finish_reason"]),
        (&json!("result"), &json!("stop"))
    );
}

#[test]
fn hide_thinking_omits_reasoning() {
    let env = env(&Checkpoint::saying(&[
        "<think>", "h", "m", "</think>", "O", "k",
    ]));
    assert_eq!(env.run(&["run", MODEL, "?"]).success(), "hm\n\nOk\n");
    assert_eq!(
        env.run(&["run", MODEL, "?", "--hide-thinking"]).success(),
        "Ok\n"
    );
}

#[test]
fn reasoning_is_dimmed_only_with_color() {
    let env = env(&Checkpoint::saying(&["<think>", "h", "</think>", "O"]));
    let colored = env.run(&["run", MODEL, "?", "--color", "always"]);
    assert_eq!(colored.success(), "\x1b[2mh\x1b[0m\n\nO\n");
    assert_eq!(
        env.run(&["run", MODEL, "?", "--color", "never"]).success(),
        "h\n\nO\n"
    );
}

#[test]
fn reasoning_opened_by_the_template_is_recognized() {
    let mut checkpoint = Checkpoint::saying(&["h", "m", "</think>", "O", "k"]);
    let template = checkpoint.chat_template.unwrap();
    checkpoint.chat_template =
        Some(template.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}"));
    let env = env(&checkpoint);
    assert_eq!(
        env.run(&["run", MODEL, "?", "--hide-thinking"]).success(),
        "Ok\n"
    );
}

#[test]
fn stop_strings_and_max_tokens_end_generation() {
    let env = env(&Checkpoint::saying(&["a", "b", "c", "d", "e"]));
    assert_eq!(
        env.run(&["run", MODEL, "?", "--stop", "cd"]).success(),
        "ab\n"
    );
    let limited = env.run(&["run", MODEL, "?", "--max-tokens", "3"]);
    assert_eq!(limited.success(), "abc\n");
    assert!(
        limited.stderr.contains("stopped after 3 tokens"),
        "{limited:#?}"
    );
    let quiet = env.run(&["run", MODEL, "?", "--max-tokens", "3", "--quiet"]);
    assert_eq!((quiet.success(), quiet.stderr.as_str()), ("abc\n", ""));
}

#[test]
fn full_context_ends_generation_with_a_note() {
    let env = env(&Checkpoint::endless());
    let outcome = env.run(&[
        "run",
        MODEL,
        "?",
        "--context-length",
        "64",
        "--max-tokens",
        "1000",
    ]);
    assert!(outcome.success().starts_with("abcabc"), "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("context length of 64 tokens reached"),
        "{outcome:#?}"
    );
    let result = env
        .run(&[
            "run",
            MODEL,
            "?",
            "--context-length",
            "64",
            "--max-tokens",
            "1000",
            "--json",
        ])
        .json();
    assert_eq!(result["finish_reason"], "length");
    let total =
        result["prompt_tokens"].as_u64().unwrap() + result["generated_tokens"].as_u64().unwrap();
    assert!((63..=65).contains(&total), "{total}");
}

#[test]
fn system_prompt_is_part_of_the_prompt() {
    let env = env(&Checkpoint::saying(&["o"]));
    let tokens = |arguments: &[&str]| env.run(arguments).json()["prompt_tokens"].as_u64().unwrap();
    let plain = tokens(&["run", MODEL, "?", "--json"]);
    let with_system = tokens(&["run", MODEL, "?", "--json", "--system", "be brief"]);
    // <|im_start|>, "system\n", the text, <|im_end|>, "\n"
    assert_eq!(with_system, plain + 1 + 7 + 8 + 1 + 1);
}

#[test]
fn raw_prompt_is_not_rendered() {
    let env = env(&Checkpoint::saying(&["a", "b"]));
    let result = env.run(&["run", MODEL, "a", "--raw", "--json"]).json();
    assert_eq!(
        (&result["prompt_tokens"], &result["text"]),
        (&json!(1), &json!("b"))
    );
}

#[test]
fn missing_template_uses_the_raw_prompt_with_a_note() {
    let mut checkpoint = Checkpoint::saying(&["a", "b"]);
    checkpoint.chat_template = None;
    let env = env(&checkpoint);
    let outcome = env.run(&["run", MODEL, "a"]);
    assert_eq!(outcome.success(), "b\n");
    assert!(outcome.stderr.contains("no chat template"), "{outcome:#?}");
}

#[test]
fn template_file_is_rendered_with_kwargs() {
    let env = env(&Checkpoint::saying(&["a", "b"]));
    let template = env.path().join("template.jinja");
    std::fs::write(
        &template,
        "{{ messages[0].content }}{% if enable_thinking %}!{% endif %}{{ extra }}\n",
    )
    .unwrap();
    let template = template.to_str().unwrap();
    let tokens = |arguments: &[&str]| {
        let arguments = [
            &["run", MODEL, "x", "--json", "--template", template],
            arguments,
        ]
        .concat();
        env.run(&arguments).json()["prompt_tokens"]
            .as_u64()
            .unwrap()
    };
    let plain = tokens(&["--no-think"]);
    assert_eq!(tokens(&["--think"]), plain + 1);
    assert_eq!(
        tokens(&["--no-think", "--template-kwargs", r#"{"extra": "12345"}"#]),
        plain + 5
    );
    let wrong = env.run(&["run", MODEL, "x", "--template-kwargs", "[1]"]);
    wrong.failure_with(2, &["--template-kwargs", "JSON object"]);
}

#[test]
fn sampling_options_are_applied() {
    let env = env(&Checkpoint::saying(&["a", "b"]));
    // The bias forces the end of the turn (token 258), or a letter at every position.
    let empty = env.run(&["run", MODEL, "?", "--logit-bias", "258=100"]);
    assert_eq!(empty.success(), "");
    let repeated = env.run(&[
        "run",
        MODEL,
        "?",
        "--logit-bias",
        "122=100",
        "--max-tokens",
        "4",
    ]);
    assert_eq!(repeated.success(), "zzzz\n");

    let sampled = |seed: &str| {
        let arguments = [
            "run",
            MODEL,
            "?",
            "--temp",
            "50",
            "--seed",
            seed,
            "--max-tokens",
            "24",
            "--json",
        ];
        env.run(&arguments).json()["text"].clone()
    };
    assert_eq!(sampled("7"), sampled("7"));
    assert_ne!(sampled("7"), sampled("8"));
}

#[test]
fn options_override_generation_config() {
    let mut checkpoint = Checkpoint::saying(&["a", "b"]);
    checkpoint.generation_config =
        Some(json!({"do_sample": true, "temperature": 60.0, "max_new_tokens": 8}));
    let env = env(&checkpoint);
    assert_eq!(
        env.run(&["run", MODEL, "?", "--temp", "0"]).success(),
        "ab\n"
    );
    let sampled = env.run(&["run", MODEL, "?", "--seed", "1"]);
    assert_ne!(sampled.success(), "ab\n");
}

#[test]
fn stats_are_printed_to_stderr() {
    let env = env(&Checkpoint::saying(&["a", "b"]));
    let outcome = env.run(&["run", MODEL, "?", "--stats"]);
    assert_eq!(outcome.success(), "ab\n");
    for word in [
        "prompt",
        "first token",
        "generation 3 tokens",
        "tok/s",
        "peak memory",
    ] {
        assert!(outcome.stderr.contains(word), "{word}: {outcome:#?}");
    }
}

#[test]
fn closed_output_pipe_is_not_an_error() {
    let env = env(&Checkpoint::endless());
    let mut command = env.command(&["run", MODEL, "?", "--max-tokens", "2000"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn full_output_disk_is_an_error() {
    let env = env(&Checkpoint::saying(&["a"]));
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let outcome = Outcome::of(env.command(&["run", MODEL, "?"]).stdout(full));
    outcome.failure(&["No space left"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_generation() {
    let env = env(&Checkpoint::endless());
    let mut command = env.command(&["run", MODEL, "?", "--max-tokens", "4000", "--stream-json"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(130), "{outcome:#?}");
    assert!(outcome.stdout.trim_end().ends_with('}'), "{outcome:#?}");
}

#[test]
fn metal_is_an_error_that_suggests_cpu() {
    let env = env(&Checkpoint::saying(&["a"]));
    env.run(&["run", MODEL, "?", "--device", "metal"])
        .failure(&["Metal", "cpu"]);
}

#[test]
fn threads_do_not_change_the_completion() {
    let env = env(&Checkpoint::saying(&["a", "b", "c"]));
    for threads in ["1", "2", "3"] {
        assert_eq!(
            env.run(&["run", MODEL, "?", "--threads", threads])
                .success(),
            "abc\n"
        );
    }
}
