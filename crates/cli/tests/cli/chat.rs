//! The interactive chat on a terminal.

use std::fs;

use serde_json::Value;

use crate::support::terminal::{CTRL_C, CTRL_D, Terminal};
use crate::support::{Checkpoint, TestEnv};

const PROMPT: &str = ">>> ";

fn chat(env: &TestEnv, arguments: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(env.command(&[&["run", "tiny"], arguments].concat()));
    terminal.expect(PROMPT);
    terminal
}

fn env(checkpoint: &Checkpoint) -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", checkpoint);
    env
}

fn saved(env: &TestEnv, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(env.path().join(file)).unwrap();
    let conversation: Value = serde_json::from_str(&text).unwrap();
    conversation["messages"].as_array().unwrap().clone()
}

#[test]
fn conversation_keeps_all_turns() {
    let env = env(&Checkpoint::saying(&["S", "u", "r", "e", "!"]));
    let mut terminal = chat(&env, &["--system", "be brief"]);
    terminal.line("hello");
    terminal.expect("Sure!\r\n");
    terminal.expect(PROMPT);
    terminal.line("and again");
    terminal.expect("Sure!\r\n");
    terminal.expect(PROMPT);
    terminal.line("/save chat.json");
    terminal.expect("conversation saved to chat.json");
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
    let messages = saved(&env, "chat.json");
    let roles: Vec<&str> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(messages[3]["content"], "and again");
    assert_eq!(messages[4]["content"], "Sure!");
    let history = fs::read_to_string(env.path().join("mlxm/history")).unwrap();
    assert!(history.contains("and again"), "{history}");
}

#[test]
fn commands_work_as_documented() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let mut terminal = chat(&env, &[]);
    terminal.line("/help");
    terminal.expect("/system TEXT");
    terminal.expect(PROMPT);
    terminal.line("/stats");
    terminal.expect("no response yet");
    terminal.expect(PROMPT);
    terminal.line("first");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.line("/stats");
    terminal.expect("tok/s");
    terminal.expect("left");
    terminal.expect(PROMPT);
    terminal.line("/system talk like a pirate");
    terminal.expect("system prompt set");
    terminal.expect(PROMPT);
    terminal.line("second");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.line("/save one.json");
    terminal.expect("saved");
    terminal.expect(PROMPT);
    terminal.line("/reset");
    terminal.expect("conversation cleared");
    terminal.expect(PROMPT);
    terminal.line("/save two.json");
    terminal.expect("saved");
    terminal.expect(PROMPT);
    terminal.line("/save nowhere/three.json");
    terminal.expect("cannot write nowhere/three.json");
    terminal.expect(PROMPT);
    terminal.line("/frobnicate");
    terminal.expect("unknown command /frobnicate");
    terminal.expect(PROMPT);
    terminal.line("/exit");
    assert_eq!(terminal.end().0, Some(0));

    let contents = |file| -> Vec<String> {
        saved(&env, file)
            .iter()
            .map(|message| message["content"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(contents("one.json"), ["talk like a pirate", "second", "Ok"]);
    assert_eq!(contents("two.json"), ["talk like a pirate"]);
}

#[test]
fn multi_line_input_is_one_message() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let mut terminal = chat(&env, &[]);
    terminal.line("one \\");
    terminal.line("two");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.line("\"\"\"three");
    terminal.line("");
    terminal.line("four\"\"\"");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.line("/save chat.json");
    terminal.expect("saved");
    let messages = saved(&env, "chat.json");
    assert_eq!(messages[0]["content"], "one \ntwo");
    assert_eq!(messages[2]["content"], "three\n\nfour");
}

#[test]
fn ctrl_c_stops_generation_and_a_second_one_exits() {
    let env = env(&Checkpoint::endless());
    let mut terminal = chat(&env, &["--max-tokens", "4000"]);
    terminal.line("go");
    terminal.expect("abcabc");
    terminal.send(CTRL_C);
    terminal.expect("stopped");
    terminal.expect(PROMPT);
    terminal.send(CTRL_C);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    assert!(!screen.contains("panicked"), "{screen}");
}

#[test]
fn ctrl_c_at_the_prompt_exits_when_repeated() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let mut terminal = chat(&env, &[]);
    terminal.send("half a li");
    terminal.send(CTRL_C);
    terminal.expect("Ctrl-C again");
    terminal.expect(PROMPT);
    // A message in between resets it.
    terminal.line("hello");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.send(CTRL_C);
    terminal.expect("Ctrl-C again");
    terminal.expect(PROMPT);
    terminal.send(CTRL_C);
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn full_context_is_reported_and_can_be_reset() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let mut terminal = chat(&env, &["--context-length", "96"]);
    terminal.line("a first message of some length");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.line("a second message of some length");
    terminal.expect("context full");
    terminal.expect("/reset");
    terminal.expect(PROMPT);
    terminal.line("/reset");
    terminal.expect(PROMPT);
    terminal.line("a third message of some length");
    terminal.expect("Ok\r\n");
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn control_characters_are_replaced() {
    let env = env(&Checkpoint::saying(&["\x1b", "]", "0", ";", "x", "\x07"]));
    let mut terminal = chat(&env, &[]);
    terminal.line("hello");
    terminal.expect("␛]0;x␇");
    terminal.expect(PROMPT);
}

#[test]
fn run_asks_before_pulling() {
    let env = TestEnv::new();
    let mut terminal = Terminal::start(env.command(&["run", "owner/name"]));
    terminal.expect("owner/name is not available locally. Download it? [y/N] ");
    terminal.line("n");
    terminal.expect("mlxm pull owner/name");
    assert_eq!(terminal.end().0, Some(1));

    let mut terminal = Terminal::start(env.command(&["run", "owner/name"]));
    terminal.expect("[y/N] ");
    terminal.line("y");
    terminal.expect("HF_HUB_OFFLINE");
    assert_eq!(terminal.end().0, Some(1));
}

#[test]
fn reasoning_is_dimmed_on_a_terminal_unless_color_is_off() {
    let env = env(&Checkpoint::saying(&[
        "<think>", "h", "m", "</think>", "O", "k",
    ]));
    let run = ["run", "tiny", "?"];
    let (code, screen) = Terminal::start(env.command(&run)).end();
    assert_eq!(code, Some(0));
    assert_eq!(screen, "\x1b[2mh\x1b[0m\x1b[2mm\x1b[0m\r\n\r\nOk\r\n");
    let mut command = env.command(&run);
    command.env("NO_COLOR", "1");
    assert_eq!(Terminal::start(command).end().1, "hm\r\n\r\nOk\r\n");
}

#[test]
fn chat_continues_after_template_errors() {
    let mut checkpoint = Checkpoint::saying(&["O", "k"]);
    let template = checkpoint.chat_template.unwrap();
    let rule = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}";
    checkpoint.chat_template = Some(format!("{rule}{template}"));
    let env = env(&checkpoint);
    let mut terminal = chat(&env, &[]);
    for expected in ["Ok\r\n", "one turn only", "one turn only"] {
        terminal.line("hello");
        terminal.expect(expected);
        terminal.expect(PROMPT);
    }
    terminal.line("/reset");
    terminal.expect(PROMPT);
    terminal.line("hello");
    terminal.expect("Ok\r\n");
}

#[test]
fn unwritable_history_is_reported_once() {
    let env = env(&Checkpoint::saying(&["O", "k"]));
    let home = env.path().join("a file");
    fs::write(&home, "").unwrap();
    let folder = env.models().join("tiny");
    let mut command = env.command(&["run", folder.to_str().unwrap()]);
    command.env("MLXM_HOME", &home);
    let mut terminal = Terminal::start(command);
    for _ in 0..2 {
        terminal.expect(PROMPT);
        terminal.line("hello");
        terminal.expect("Ok\r\n");
    }
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(
        screen.matches("cannot save the input history").count(),
        1,
        "{screen}"
    );
}
