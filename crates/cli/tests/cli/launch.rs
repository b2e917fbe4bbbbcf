//! `mlxm launch`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::gateway_process::Gateway;
use crate::support::{Checkpoint, Outcome, TestEnv};

pub fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::saying(&["O", "k"]));
    env
}

/// Adds a program to the directory `bin` that prints its arguments and the named variables.
pub fn program(env: &TestEnv, name: &str, variables: &[&str], more: &str) {
    let directory = env.path().join("bin");
    fs::create_dir_all(&directory).unwrap();
    let shown: Vec<String> = variables
        .iter()
        .map(|variable| format!("echo \"{variable}=${variable}\""))
        .collect();
    let script = format!(
        "#!/bin/sh\necho \"$(basename \"$0\") $*\"\n{}\n{more}\n",
        shown.join("\n")
    );
    let path = directory.join(name);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
}

pub fn launch(env: &TestEnv, arguments: &[&str]) -> Outcome {
    launch_with(env, arguments, &[])
}

pub fn launch_with(env: &TestEnv, arguments: &[&str], variables: &[(&str, &Path)]) -> Outcome {
    let path = std::env::var("PATH").unwrap();
    let bin = env.path().join("bin");
    let mut command = env.command(&[&["launch"][..], arguments].concat());
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.envs(variables.iter().copied());
    Outcome::of(&mut command)
}

pub fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub fn settings(env: &TestEnv) -> PathBuf {
    env.path().join(".claude/settings.json")
}

pub fn aliases(gateway: &Gateway) -> Value {
    let (_, list) = gateway.get("/api/aliases");
    let aliases = list["aliases"].as_array().unwrap().iter();
    aliases
        .map(|alias| json!([alias["name"], alias["target"]]))
        .collect()
}

#[test]
fn clients_are_listed_and_found_by_the_start_of_their_names() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let list = launch(&env, &[]);
    for part in ["CLIENT", "claude-code", "Codex", "An editor"] {
        assert!(list.success().contains(part), "no {part:?} in {list:#?}");
    }
    launch(&env, &["emacs"]).failure(&["no client `emacs`", "`claude-code`"]);
    // Two begin so.
    launch(&env, &["openai"]).failure(&["no client `openai`"]);
    launch(&env, &["codex", "--fast", "tiny"]).failure_with(2, &["Codex uses one model"]);
    launch(&env, &["codex", "--model", "absent"]).failure(&["absent"]);
    let printed = launch(&env, &["cod", "--print"]);
    for part in [
        "~/.codex/mlxm.config.toml",
        "model = \"tiny\"",
        "$ codex --profile mlxm",
    ] {
        assert!(
            printed.success().contains(part),
            "no {part:?} in {printed:#?}"
        );
    }
    assert!(!env.path().join(".codex").exists());
}

#[test]
fn configured_agent_is_started_and_restored() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    program(&env, "claude", &[], "exit 7");
    let before =
        "{\n  // mine\n  \"env\": { \"MINE\": \"1\", \"ANTHROPIC_MODEL\": \"opus\" },\n}\n";
    fs::create_dir_all(env.path().join(".claude")).unwrap();
    fs::write(settings(&env), before).unwrap();

    let started = launch(&env, &["claude", "--model", "tiny", "--", "-p", "a b"]);
    // The command has become the program.
    assert_eq!(started.code, Some(7), "{started:#?}");
    assert_eq!(started.stdout, "claude -p a b\n");
    for part in ["Claude Code uses tiny", "settings.json", "--undo"] {
        assert!(started.stderr.contains(part), "no {part:?} in {started:#?}");
    }
    let text = fs::read_to_string(settings(&env)).unwrap();
    for part in [
        "// mine",
        "\"MINE\": \"1\"",
        &format!("\"ANTHROPIC_BASE_URL\": \"{}\"", gateway.url()),
        "\"ANTHROPIC_MODEL\": \"tiny\"",
        "\"ANTHROPIC_DEFAULT_HAIKU_MODEL\": \"tiny\"",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(
        aliases(&gateway),
        json!([["claude-*", "tiny"], ["claude-*haiku*", "tiny"]])
    );

    // Once more, so that the backup is not that of a changed file.
    launch(&env, &["claude", "--config"]).success();
    let undone = launch(&env, &["claude", "--undo"]);
    assert!(undone.success().contains("settings.json"), "{undone:#?}");
    assert_eq!(fs::read_to_string(settings(&env)).unwrap(), before);
    assert_eq!(aliases(&gateway), json!([]));
    launch(&env, &["claude", "--undo"]).failure(&["nothing was changed"]);
}

#[test]
fn undo_keeps_what_was_changed_since() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    launch(&env, &["claude", "--config"]).success();
    let mut changed = read(&settings(&env));
    changed["theme"] = json!("dark");
    fs::write(settings(&env), changed.to_string()).unwrap();
    let other = json!({"name": "claude-*", "target": "other"});
    assert_eq!(gateway.post("/api/aliases", &other).0, 200);
    launch(&env, &["claude", "--undo"]).success();
    assert_eq!(read(&settings(&env)), json!({"theme": "dark"}));
    assert_eq!(aliases(&gateway), json!([["claude-*", "other"]]));

    launch(&env, &["codex", "--config"]).success();
    let profile = env.path().join(".codex/mlxm.config.toml");
    fs::write(&profile, "model = \"mine\"\n").unwrap();
    let undone = launch(&env, &["codex", "--undo", "--json"]).json();
    assert!(!profile.exists());
    let kept = undone["files"][0]["kept"].as_str().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "model = \"mine\"\n");
}

#[test]
fn own_files_and_variables_are_used() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    let xdg = env.path().join("xdg");
    program(
        &env,
        "goose",
        &["GOOSE_PROVIDER", "GOOSE_MODEL", "MLXM_API_KEY"],
        "",
    );
    let started = launch_with(&env, &["goose"], &[("XDG_CONFIG_HOME", xdg.as_path())]);
    assert_eq!(
        started.success(),
        "goose session\nGOOSE_PROVIDER=mlxm\nGOOSE_MODEL=tiny\nMLXM_API_KEY=\n"
    );
    let provider = read(&xdg.join("goose/custom_providers/mlxm.json"));
    assert_eq!(
        provider["base_url"],
        format!("{}/v1/chat/completions", gateway.url())
    );
    assert_eq!(provider["requires_auth"], false);

    let folder = env.path().join("continue");
    program(&env, "cn", &[], "");
    let started = launch_with(
        &env,
        &["continue"],
        &[("CONTINUE_GLOBAL_DIR", folder.as_path())],
    );
    let file = folder.join("models/mlxm.yaml");
    assert_eq!(
        started.success(),
        format!("cn --config {}\n", file.display())
    );
    assert!(file.exists());
}

#[test]
fn file_that_a_command_writes_is_backed_up() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let folder = env.path().join(".cline/data/settings");
    fs::create_dir_all(&folder).unwrap();
    let providers = folder.join("providers.json");
    fs::write(&providers, "before").unwrap();
    let write = format!(
        "[ \"$1\" = auth ] && echo \"$*\" > '{}'; true",
        providers.display()
    );
    program(&env, "cline", &[], &write);
    launch(&env, &["cline"]).success();
    let written = fs::read_to_string(&providers).unwrap();
    assert!(
        written.contains("auth -p openai -k mlxm -m tiny -b http"),
        "{written}"
    );
    launch(&env, &["cline", "--undo"]).success();
    assert_eq!(fs::read_to_string(&providers).unwrap(), "before");

    program(&env, "cline", &[], "echo 'no such provider' >&2; exit 3");
    launch(&env, &["cline"]).failure(&["`cline` failed", "no such provider", "--undo"]);
}

#[test]
fn key_of_the_gateway_is_written_and_never_asked_of_it() {
    let env = env();
    let _gateway = Gateway::start_with(&env, &[], &[("MLXM_API_KEY", "the-key")]);
    launch(&env, &["codex", "--config"]).failure(&["API key", "MLXM_API_KEY"]);
    let with_key = |arguments: &[&str]| {
        let mut command = env.command(&[&["launch"][..], arguments].concat());
        Outcome::of(command.env("MLXM_API_KEY", "the-key"))
    };
    with_key(&["codex", "--config"]).success();
    let profile = fs::read_to_string(env.path().join(".codex/mlxm.config.toml")).unwrap();
    assert!(profile.contains("env_key = \"MLXM_API_KEY\""), "{profile}");
    assert!(!profile.contains("the-key"), "{profile}");
    with_key(&["claude", "--config"]).success();
    assert_eq!(
        read(&settings(&env))["env"]["ANTHROPIC_AUTH_TOKEN"],
        "the-key"
    );
    let mode = fs::metadata(settings(&env)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn file_that_is_not_valid_is_not_touched() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let path = env.path().join(".config/zed/settings.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "{ \"theme\": ").unwrap();
    launch(&env, &["zed", "--config"]).failure(&["settings.json cannot be changed", "correct it"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{ \"theme\": ");
    // A program that is not there.
    fs::remove_file(&path).unwrap();
    launch(&env, &["zed"]).failure(&["`zed` of Zed is not installed"]);
    assert!(path.exists());
}
