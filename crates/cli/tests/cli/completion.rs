//! Shell completion.

use crate::support::gateway::Gateway;
use crate::support::{Checkpoint, Outcome, TestEnv};

/// The candidates for the last word.
fn candidates(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let mut arguments = vec!["--", "mlxm"];
    arguments.extend(words);
    let mut command = env.command(&arguments);
    command
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n");
    let outcome = Outcome::of(&mut command);
    outcome.success().lines().map(str::to_owned).collect()
}

#[test]
fn completion_prints_a_script_for_each_shell() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let outcome = env.run(&["completion", shell]);
        let script = outcome.success();
        assert!(
            script.contains("COMPLETE") && script.contains("mlxm"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn commands_options_and_local_models_are_completed() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    assert_eq!(candidates(&env, &["perp"]), ["perplexity"]);
    assert_eq!(
        candidates(&env, &["start", "--context-l"]),
        ["--context-length"]
    );
    for command in ["run", "start", "rm", "show"] {
        assert_eq!(candidates(&env, &[command, "ti"]), ["tiny"], "{command}");
    }
    // Without a gateway there are no candidates, and no errors.
    assert!(candidates(&env, &["profile", "show", "co"]).is_empty());
}

#[test]
fn profiles_and_settings_of_the_gateway_are_completed() {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    let gateway = Gateway::start(&env);
    gateway
        .run(&["profile", "new", "coding", "--model", "tiny"])
        .success();
    assert_eq!(candidates(&env, &["profile", "show", "co"]), ["coding"]);
    assert_eq!(candidates(&env, &["start", "co"]), ["coding"]);
    assert_eq!(
        candidates(&env, &["config", "get", "pool.ttl"]),
        ["pool.ttl_seconds"]
    );
}
