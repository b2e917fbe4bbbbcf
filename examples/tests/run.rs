//! Runs the examples with a tiny checkpoint.

use std::io::Write;
use std::process::{Command, Stdio};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/engine/tests/golden/llama-f16"
);

#[test]
fn generate_is_reproducible_and_prints_prompt_and_speed() {
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_generate"))
            .args([MODEL, "Once upon a time"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run();
    assert!(text.starts_with("Once upon a time"));
    let completion = |text: &str| {
        text.rsplit_once("\n(")
            .map(|(completion, _)| completion.to_owned())
            .unwrap()
    };
    assert_eq!(completion(&text), completion(&run()));
    assert!(text.contains("tokens per second"));
}

#[test]
fn generate_prints_usage_without_arguments() {
    let output = Command::new(env!("CARGO_BIN_EXE_generate"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: generate MODEL PROMPT"));
}

#[test]
fn chat_responds_to_every_line() {
    let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"))
        .arg(MODEL)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    chat.stdin
        .take()
        .unwrap()
        .write_all(b"Hello.\nTell me more.\n")
        .unwrap();
    let output = chat.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).lines().count() >= 2);
}
