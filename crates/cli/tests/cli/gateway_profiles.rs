//! `mlxm profile`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::{Checkpoint, Outcome, TestEnv};

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::saying(&["O", "k"]));
    env
}

/// Runs a command with an editor that replaces the text with the output of a shell command.
fn edit(env: &TestEnv, arguments: &[&str], shell_command: &str) -> Outcome {
    let editor = env.path().join("editor");
    std::fs::write(
        &editor,
        format!("#!/bin/sh\nfile=\"$1\"\n{shell_command}\n"),
    )
    .unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = env.command(arguments);
    Outcome::of(command.env("EDITOR", editor))
}

#[test]
fn profiles_are_created_changed_copied_and_deleted() {
    let env = env();
    let gateway = Gateway::start(&env);
    let none = gateway.run(&["profile", "list"]);
    assert!(none.success().contains("mlxm profile new"), "{none:#?}");

    let created = gateway.run(&[
        "profile",
        "new",
        "coding",
        "--model",
        "tiny",
        "--set",
        "load.context_length=1024",
        "--set",
        "request.temperature=0.25",
        "--set",
        "description=For code",
    ]);
    assert_eq!(created.success(), "profile coding created\n");
    let list = gateway.run(&["profile", "ls"]);
    for part in ["NAME", "coding", "tiny", "1024", "For code"] {
        assert!(list.success().contains(part), "no {part:?} in {list:#?}");
    }
    let text = gateway.run(&["profile", "show", "cod"]);
    assert!(
        text.success().contains("context_length = 1024"),
        "{text:#?}"
    );
    let profile = gateway.run(&["profile", "show", "coding", "--json"]).json();
    assert_eq!(profile["config"]["request"]["temperature"], 0.25);

    gateway
        .run(&[
            "profile",
            "edit",
            "coding",
            "--unset",
            "request.temperature",
            "--set",
            "request.top_k=5",
        ])
        .success();
    let profile = gateway.run(&["profile", "show", "coding", "--json"]).json();
    assert_eq!(profile["config"]["request"], json!({"top_k": 5}));

    gateway
        .run(&["profile", "duplicate", "coding", "writing"])
        .success();
    assert_eq!(
        gateway.run(&["profile", "list", "--quiet"]).success(),
        "coding\nwriting\n"
    );
    gateway
        .run(&["profile", "rm", "writing"])
        .failure_with(2, &["use --yes"]);
    gateway
        .run(&["profile", "rm", "writing", "--yes"])
        .success();
    assert_eq!(
        gateway.run(&["profile", "list", "--quiet"]).success(),
        "coding\n"
    );

    // Requests use a profile like a model.
    assert_eq!(gateway.run(&["run", "coding", "?"]).success(), "Ok\n");
    assert_eq!(
        gateway.run(&["ps", "--json"]).json()[0]["profiles"],
        json!(["coding"])
    );
}

#[test]
fn invalid_profiles_are_rejected_with_the_setting() {
    let env = env();
    let gateway = Gateway::start(&env);
    let new = ["profile", "new", "a", "--model", "tiny"];
    gateway
        .run(&[&new[..], &["--set", "load.context=5"]].concat())
        .failure(&["context", "context_length"]);
    gateway
        .run(&[&new[..], &["--set", "request.temperature=-1"]].concat())
        .failure(&["temperature"]);
    gateway.run(&new).success();
    gateway.run(&new).failure(&["name"]);
    gateway
        .run(&["profile", "show", "aa"])
        .failure(&["no profile `aa`"]);
    gateway
        .run(&["profile", "edit", "a", "--unset", "load.device"])
        .failure(&["`load.device` is not set"]);
}

#[test]
fn edited_profile_is_checked_before_it_is_saved() {
    let env = env();
    let gateway = Gateway::start(&env);
    gateway
        .run(&["profile", "new", "a", "--model", "tiny"])
        .success();
    let toml =
        "printf 'name = \"b\"\\nmodel = \"tiny\"\\n[load]\\nmax_sequences = 2\\n' > \"$file\"";
    let edited = edit(&env, &["profile", "edit", "a"], toml);
    assert_eq!(edited.success(), "profile b saved\n");
    let profile = gateway.run(&["profile", "show", "b", "--json"]).json();
    assert_eq!(profile["config"]["load"], json!({"max_sequences": 2}));

    let unchanged = edit(&env, &["profile", "edit", "b"], "true");
    assert_eq!(
        (unchanged.success(), unchanged.stderr.trim()),
        ("", "nothing changed")
    );
    let invalid = edit(
        &env,
        &["profile", "edit", "b"],
        "echo 'speed = 9' >> \"$file\"",
    );
    invalid.failure(&["speed", "your changes are in"]);
    let failed = edit(&env, &["profile", "edit", "b"], "exit 3");
    failed.failure(&["the editor", "exit status: 3"]);
    let json = edit(
        &env,
        &["profile", "edit", "b", "--format", "json"],
        "sed -i.bak 's/2/3/' \"$file\"",
    );
    assert_eq!(json.success(), "profile b saved\n");
    let profile = gateway.run(&["profile", "show", "b", "--json"]).json();
    assert_eq!(profile["config"]["load"], json!({"max_sequences": 3}));
}

#[test]
fn exported_profiles_and_modelfiles_are_imported() {
    let env = env();
    let gateway = Gateway::start(&env);
    gateway
        .run(&[
            "profile",
            "new",
            "a",
            "--model",
            "tiny",
            "--set",
            "request.seed=7",
        ])
        .success();
    for format in ["toml", "json"] {
        let file = format!("a.{format}");
        gateway
            .run(&[
                "profile", "export", "a", "--format", format, "--output", &file,
            ])
            .success();
        let name = format!("from-{format}");
        gateway
            .run(&["profile", "import", &file, "--name", &name])
            .success();
        let profile = gateway.run(&["profile", "show", &name, "--json"]).json();
        assert_eq!(profile["config"]["request"]["seed"], 7, "{format}");
    }
    std::fs::write(
        env.path().join("Modelfile"),
        "FROM tiny\nPARAMETER temperature 0.5\nSYSTEM Be brief.\n",
    )
    .unwrap();
    gateway
        .run(&["profile", "import", "Modelfile"])
        .failure_with(2, &["--name"]);
    gateway
        .run(&["profile", "import", "Modelfile", "--name", "brief"])
        .success();
    let profile = gateway.run(&["profile", "show", "brief", "--json"]).json();
    assert_eq!(profile["config"]["request"]["system_prompt"], "Be brief.");
    let exported = gateway.run(&["profile", "export", "brief", "--format", "modelfile"]);
    assert!(exported.success().contains("FROM tiny"), "{exported:#?}");

    std::fs::write(env.path().join("bad.toml"), "name = 1\n").unwrap();
    gateway
        .run(&["profile", "import", "bad.toml"])
        .failure(&["bad.toml", "line 1"]);
    gateway
        .run(&["profile", "import", "absent.toml"])
        .failure(&["absent.toml"]);
}
