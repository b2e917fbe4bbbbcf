//! `mlxm list`, `show`, `rm` and `doctor`.

use std::collections::HashSet;
use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use crate::support::terminal::Terminal;
use crate::support::{Checkpoint, Outcome, TestEnv};

/// Two local models, a cached model and a partial download.
fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::saying(&["o"]));
    env.local_model("owner/other", &Checkpoint::saying(&["o"]));
    let cached = env.cache().join("models--hub--cached");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    Checkpoint::saying(&["c"]).write(&cached.join("snapshots").join(commit));
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::write(cached.join("refs/main"), commit).unwrap();
    let partial = env.cache().join("models--hub--partial/blobs");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("abc.incomplete"), vec![0; 1000]).unwrap();
    env
}

#[test]
fn list_shows_cached_and_local_models_and_marks_incomplete_ones() {
    let env = env();
    assert_eq!(
        env.run(&["list", "--quiet"]).success(),
        "hub/cached\nhub/partial\nowner/other\ntiny\n"
    );
    let text = env.run(&["list"]);
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

    let json = env.run(&["list", "--json"]).json();
    assert_eq!(json.as_array().unwrap().len(), 4);
    assert_eq!(json[0]["architecture"], "llama");
    assert_eq!(json[0]["complete"], true);
    assert_eq!(json[1]["complete"], false);
    assert_eq!(
        env.run(&["list", "OTHER", "--quiet"]).success(),
        "owner/other\n"
    );
}

#[test]
fn empty_list_suggests_search() {
    let outcome = TestEnv::new().run(&["list"]);
    assert!(outcome.success().contains("mlxm search"), "{outcome:#?}");
    assert_eq!(
        TestEnv::new().run(&["list", "--json"]).json(),
        serde_json::json!([])
    );
}

#[test]
fn list_marks_unsupported_models() {
    let env = TestEnv::new();
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.config["model_type"] = "unknown_architecture".into();
    env.local_model("unsupported", &checkpoint);
    let outcome = env.run(&["list"]);
    assert!(outcome.success().contains("(unsupported)"), "{outcome:#?}");
    let json = env.run(&["list", "--json"]).json();
    assert!(
        json[0]["problem"]
            .as_str()
            .unwrap()
            .contains("unknown_architecture")
    );
}

#[test]
fn show_prints_model_details_and_memory_plan() {
    let env = env();
    let outcome = env.run(&["show", "tiny"]);
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
    let model = env.run(&["show", "tiny", "--json"]).json();
    let memory = &model["memory"];
    let number = |name: &str| memory[name].as_u64().unwrap();
    // One layer, keys and values, two heads of dimension 16, two bytes per value.
    assert_eq!(number("kv_bytes_per_token"), 2 * 2 * 16 * 2);
    assert_eq!(memory["kv_cache_dtype"], "f16");
    for (option, value, dtype, bytes) in [
        ("--activation-dtype", "f32", "f32", 2 * 2 * 16 * 4),
        ("--kv-cache-dtype", "f32", "f32", 2 * 2 * 16 * 4),
        // Each head has a two-byte scale.
        ("--kv-cache-dtype", "int8", "int8", 2 * 2 * (16 + 2)),
    ] {
        let other = env.run(&["show", "tiny", "--json", option, value]).json();
        assert_eq!(other["memory"]["kv_cache_dtype"], dtype);
        assert_eq!(other["memory"]["kv_bytes_per_token"], bytes);
    }
    assert_eq!(
        number("total_bytes"),
        number("weights_bytes") + number("kv_pool_bytes") + number("scratch_bytes")
    );
    assert_eq!(number("context_length"), 4096);
    assert_eq!(model["default_max_tokens"], 2048);
    let shorter = env
        .run(&["show", "tiny", "--json", "--context-length", "1024"])
        .json();
    assert!(shorter["memory"]["kv_pool_bytes"].as_u64() < memory["kv_pool_bytes"].as_u64());
}

#[test]
fn show_lists_the_bit_widths_of_mixed_quantization() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../engine/tests/golden/qwen3-6bit-mixed"
    );
    let env = TestEnv::new();
    let mixed = "6-bit g32 (66%), 8-bit g64 (24%), 4-bit g32 (7%), dense (3%)";
    let text = env.run(&["show", folder]);
    assert!(text.success().contains(mixed), "{text:#?}");
    let json = env.run(&["show", folder, "--json"]).json();
    assert_eq!(json["quantization"], mixed);
    let shares = &json["weights_by_quantization"];
    assert_eq!(shares.as_array().unwrap().len(), 4);
    assert_eq!(shares[1]["quantization"], "8-bit g64");
    assert_eq!(shares[1]["parameters"], 160 * 64 + 64 * 64);
}

#[test]
fn absurd_sizes_and_left_over_weights_are_reported() {
    let env = TestEnv::new();
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.config["num_hidden_layers"] = (1_u64 << 31).into();
    env.local_model("absurd", &checkpoint);
    env.run(&["show", "absurd"])
        .failure_with(1, &["config.json", "num_hidden_layers"]);

    let folder = env.models().join("left-over");
    Checkpoint::saying(&["o"]).write(&folder);
    let weight_map = serde_json::json!({"model.norm.weight": "model.safetensors"});
    fs::write(
        folder.join("model.safetensors.index.json"),
        serde_json::json!({"weight_map": weight_map}).to_string(),
    )
    .unwrap();
    fs::write(folder.join("model-00001-of-00002.safetensors"), "old").unwrap();
    let outcome = env.run(&["show", "left-over"]);
    outcome.success();
    assert!(
        outcome.stderr.contains("model-00001-of-00002.safetensors"),
        "{outcome:#?}"
    );
}

#[test]
fn show_prints_the_cache_sizes_for_a_manager_of_several_models() {
    let env = env();
    let arguments = ["show", "tiny", "--json", "--max-sequences", "4"];
    let model = env.run(&arguments).json();
    let sizes = model["memory"]["cache_sizes"].as_array().unwrap();
    let number = |index: usize, name: &str| sizes[index][name].as_u64().unwrap();
    assert_eq!(sizes.len(), 2);
    assert_eq!(
        (number(0, "context_length"), number(0, "kv_pool_tokens")),
        (4096, 8192)
    );
    assert_eq!(
        (number(1, "context_length"), number(1, "kv_pool_tokens")),
        (4096, 4096)
    );
    // One layer, keys and values, two heads of dimension 16, two bytes per value.
    assert_eq!(
        number(0, "total_bytes") - number(1, "total_bytes"),
        4096 * 2 * 2 * 16 * 2
    );
    let one = ["--context-length", "1024", "--kv-pool-tokens", "2048"];
    let model = env.run(&[arguments.as_slice(), &one].concat()).json();
    let sizes = model["memory"]["cache_sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 1);
    assert_eq!(sizes[0]["total_bytes"], model["memory"]["total_bytes"]);
}

#[test]
fn show_accepts_models_that_do_not_fit_in_memory() {
    let env = env();
    let outcome = env.run(&["show", "tiny", "--memory", "100KB"]);
    assert!(outcome.success().contains("does not fit"), "{outcome:#?}");
}

#[test]
fn rm_asks_for_confirmation() {
    let env = env();
    env.run(&["rm", "tiny"]).failure_with(2, &["--yes"]);
    assert!(env.models().join("tiny").exists());

    let mut terminal = Terminal::start(env.command(&["rm", "tiny"]));
    terminal.expect("Remove tiny");
    terminal.line("n");
    assert_eq!(terminal.end().0, Some(1));
    assert!(env.models().join("tiny").exists());

    let mut terminal = Terminal::start(env.command(&["rm", "tiny"]));
    terminal.expect("[y/N] ");
    terminal.line("y");
    terminal.expect("removed tiny");
    assert_eq!(terminal.end().0, Some(0));
    assert!(!env.models().join("tiny").exists());

    let freed = env.run(&["rm", "partial", "--yes", "--json"]).json();
    assert_eq!(freed["name"], "hub/partial");
    assert_eq!(freed["bytes_freed"], 1000);
    assert_eq!(
        env.run(&["list", "--quiet"]).success(),
        "hub/cached\nowner/other\n"
    );
    env.run(&["rm", "tiny", "--yes"]).failure(&["tiny"]);
}

#[test]
fn doctor_passes_and_reports_each_check() {
    let env = env();
    let outcome = Outcome::of(&mut env.online(&["doctor"]));
    assert!(
        outcome.success().contains("all required checks passed"),
        "{outcome:#?}"
    );
    assert!(outcome.stdout.contains("hub/partial"), "{outcome:#?}");
    let json = Outcome::of(&mut env.online(&["doctor", "--json"])).json();
    assert_eq!(json["healthy"], true);
    let names: Vec<&str> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    for name in [
        "CPU",
        "memory",
        "device",
        "model cache",
        "disk space",
        "disk space of local models",
        "hub token",
        "hub",
        "models",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert_eq!(json["build"]["architecture"], std::env::consts::ARCH);
    assert!(json["instruction_sets"].is_array());
}

#[test]
fn doctor_reports_each_limit_with_its_source() {
    let env = env();
    let arguments = ["doctor", "--json", "--threads", "3", "--memory", "1GB"];
    let json = Outcome::of(&mut env.online(&arguments)).json();
    let limits = json["limits"].as_array().unwrap();
    let limit = |name: &str| {
        limits
            .iter()
            .find(|limit| limit["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {limits:#?}"))
    };
    assert_eq!(limit("compute threads")["value"], 3);
    assert_eq!(limit("compute threads")["source"], "--threads");
    assert_eq!(limit("model memory")["value"], 1_000_000_000);
    assert_eq!(limit("model memory")["source"], "--memory");
    assert!(limit("physical memory")["value"].as_u64().unwrap() > 0);
    assert!(limit("physical cores")["value"].as_u64().unwrap() > 0);
    let folder = limit("free disk space of local models")["source"].as_str();
    assert_eq!(folder, env.models().to_str());
    let mut names = HashSet::new();
    for limit in limits {
        assert_ne!(limit["source"], "", "{limit}");
        assert!(names.insert(limit["name"].to_string()), "{limits:#?}");
    }

    let printed = Outcome::of(&mut env.online(&["doctor"]));
    assert!(printed.success().contains("SOURCE"), "{printed:#?}");
    #[cfg(target_os = "linux")]
    assert!(printed.stdout.contains("/proc/meminfo"), "{printed:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn doctor_advises_what_to_do_about_little_memory() {
    let env = env();
    let mut command = Command::new("sh");
    env.environment(&mut command);
    // 3.99 GB; a machine with less has the same advice.
    command.args(["-c", "ulimit -v 3900000 && exec \"$0\" doctor --json"]);
    command.arg(assert_cmd::cargo::cargo_bin!("mlxm"));
    let json = Outcome::of(&mut command).json();
    let checks = json["checks"].as_array().unwrap();
    let memory = checks
        .iter()
        .find(|check| check["name"] == "memory")
        .unwrap();
    assert_eq!(memory["verdict"], "warning", "{memory}");
    let finding = memory["finding"].as_str().unwrap();
    assert!(finding.contains("`mlxm show MODEL`"), "{finding}");
}

#[test]
fn doctor_shows_the_token_source_but_not_the_token() {
    let env = env();
    let outcome = Outcome::of(env.online(&["doctor"]).env("HF_TOKEN", "hf_secret"));
    assert!(outcome.success().contains("HF_TOKEN"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("hf_secret"), "{outcome:#?}");
}
