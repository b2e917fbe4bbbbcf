//! `mlxm list`, `show`, `rm` and `doctor`.

use std::fs;

use crate::support::terminal::Terminal;
use crate::support::{Checkpoint, Outcome, Surroundings};

/// Two models made here, one of the hub's cache, and the beginning of a download.
fn surroundings() -> Surroundings {
    let surroundings = Surroundings::new();
    surroundings.local_model("tiny", &Checkpoint::saying(&["o"]));
    surroundings.local_model("owner/other", &Checkpoint::saying(&["o"]));
    let cached = surroundings.cache().join("models--hub--cached");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    Checkpoint::saying(&["c"]).write(&cached.join("snapshots").join(commit));
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::write(cached.join("refs/main"), commit).unwrap();
    let partial = surroundings.cache().join("models--hub--partial/blobs");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("abc.incomplete"), vec![0; 1000]).unwrap();
    surroundings
}

#[test]
fn list_shows_models_of_both_places_and_marks_incomplete_ones() {
    let surroundings = surroundings();
    assert_eq!(
        surroundings.run(&["list", "--quiet"]).success(),
        "hub/cached\nhub/partial\nowner/other\ntiny\n"
    );
    let text = surroundings.run(&["list"]);
    let line = |name: &str| {
        text.success()
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("hub/partial").contains("(incomplete)"), "{text:#?}");
    for word in ["llama", "dense", "4096"] {
        assert!(line("hub/cached").contains(word), "{word}: {text:#?}");
    }
    assert!(text.stdout.contains("mlxm pull NAME"), "{text:#?}");

    let json = surroundings.run(&["list", "--json"]).json();
    assert_eq!(json.as_array().unwrap().len(), 4);
    assert_eq!(json[0]["architecture"], "llama");
    assert_eq!(json[0]["complete"], true);
    assert_eq!(json[1]["complete"], false);
    assert_eq!(
        surroundings.run(&["list", "OTHER", "--quiet"]).success(),
        "owner/other\n"
    );
}

#[test]
fn an_empty_list_says_what_to_do() {
    let outcome = Surroundings::new().run(&["list"]);
    assert!(outcome.success().contains("mlxm search"), "{outcome:#?}");
    assert_eq!(
        Surroundings::new().run(&["list", "--json"]).json(),
        serde_json::json!([])
    );
}

#[test]
fn a_model_that_cannot_run_is_listed_as_such() {
    let surroundings = Surroundings::new();
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.config["model_type"] = "telepathy".into();
    surroundings.local_model("strange", &checkpoint);
    let outcome = surroundings.run(&["list"]);
    assert!(outcome.success().contains("(cannot run)"), "{outcome:#?}");
    let json = surroundings.run(&["list", "--json"]).json();
    assert!(json[0]["problem"].as_str().unwrap().contains("telepathy"));
}

#[test]
fn show_tells_what_the_model_is_and_needs() {
    let surroundings = surroundings();
    let outcome = surroundings.run(&["show", "tiny"]);
    for word in [
        "llama",
        "Memory plan",
        "per token",
        "largest context",
        "4096 tokens",
        "--max-tokens",
        "chat template",
    ] {
        assert!(outcome.success().contains(word), "{word}: {outcome:#?}");
    }
    let model = surroundings.run(&["show", "tiny", "--json"]).json();
    let memory = &model["memory"];
    let number = |name: &str| memory[name].as_u64().unwrap();
    // One layer, two heads of 16, keys and values, two bytes each.
    assert_eq!(number("kv_bytes_per_token"), 2 * 2 * 16 * 2);
    assert_eq!(memory["kv_type"], "f16");
    for (option, value, kv_type, bytes) in [
        ("--precision", "exact", "f32", 2 * 2 * 16 * 4),
        ("--kv-type", "f32", "f32", 2 * 2 * 16 * 4),
        // A scale of two bytes for each head.
        ("--kv-type", "int8", "int8", 2 * 2 * (16 + 2)),
    ] {
        let other = surroundings
            .run(&["show", "tiny", "--json", option, value])
            .json();
        assert_eq!(other["memory"]["kv_type"], kv_type);
        assert_eq!(other["memory"]["kv_bytes_per_token"], bytes);
    }
    assert_eq!(
        number("total_bytes"),
        number("weights_bytes") + number("kv_pool_bytes") + number("scratch_bytes")
    );
    assert_eq!(number("context_length"), 4096);
    assert_eq!(model["default_max_tokens"], 2048);
    let shorter = surroundings
        .run(&["show", "tiny", "--json", "--context", "1024"])
        .json();
    assert!(shorter["memory"]["kv_pool_bytes"].as_u64() < memory["kv_pool_bytes"].as_u64());
}

#[test]
fn show_of_a_model_that_does_not_fit_still_shows_it() {
    let surroundings = surroundings();
    let outcome = surroundings.run(&["show", "tiny", "--memory", "100KB"]);
    assert!(outcome.success().contains("does not fit"), "{outcome:#?}");
}

#[test]
fn rm_asks_first_and_removes() {
    let surroundings = surroundings();
    surroundings
        .run(&["rm", "tiny"])
        .failure_with(2, &["--yes"]);
    assert!(surroundings.models().join("tiny").exists());

    let mut terminal = Terminal::start(surroundings.command(&["rm", "tiny"]));
    terminal.expect("Remove tiny");
    terminal.line("n");
    assert_eq!(terminal.end().0, Some(1));
    assert!(surroundings.models().join("tiny").exists());

    let mut terminal = Terminal::start(surroundings.command(&["rm", "tiny"]));
    terminal.expect("[y/N] ");
    terminal.line("y");
    terminal.expect("removed tiny");
    assert_eq!(terminal.end().0, Some(0));
    assert!(!surroundings.models().join("tiny").exists());

    let freed = surroundings
        .run(&["rm", "partial", "--yes", "--json"])
        .json();
    assert_eq!(freed["name"], "hub/partial");
    assert_eq!(freed["bytes_freed"], 1000);
    assert_eq!(
        surroundings.run(&["list", "--quiet"]).success(),
        "hub/cached\nowner/other\n"
    );
    surroundings
        .run(&["rm", "tiny", "--yes"])
        .failure(&["tiny"]);
}

#[test]
fn doctor_finds_a_healthy_machine_healthy() {
    let surroundings = surroundings();
    let outcome = Outcome::of(&mut surroundings.online(&["doctor"]));
    assert!(
        outcome
            .success()
            .contains("everything that is needed works"),
        "{outcome:#?}"
    );
    assert!(outcome.stdout.contains("hub/partial"), "{outcome:#?}");
    let json = Outcome::of(&mut surroundings.online(&["doctor", "--json"])).json();
    assert_eq!(json["healthy"], true);
    let names: Vec<&str> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    for name in [
        "processor",
        "memory",
        "device",
        "model cache",
        "disk space",
        "hub token",
        "hub",
        "models",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[test]
fn doctor_tells_where_the_token_comes_from_but_not_the_token() {
    let surroundings = surroundings();
    let outcome = Outcome::of(
        surroundings
            .online(&["doctor"])
            .env("HF_TOKEN", "hf_secret"),
    );
    assert!(outcome.success().contains("HF_TOKEN"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("hf_secret"), "{outcome:#?}");
}
