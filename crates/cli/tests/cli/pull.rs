//! `mlxm pull` and `search` with a local hub.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use mlxm_testhub::{Fault, TestRepo};

use crate::support::Outcome;
use crate::support::hub::{HubFixture, REPO, WEIGHTS};
use crate::support::terminal::{CTRL_D, Terminal};

#[test]
fn pulled_model_runs_and_is_cached() {
    let fixture = HubFixture::new();
    let outcome = fixture.run(&["pull", REPO]);
    assert!(
        outcome.success().contains("owner/Tiny-Model: "),
        "{outcome:#?}"
    );
    assert!(
        outcome.stderr.contains("model.safetensors: done"),
        "{outcome:#?}"
    );
    assert!(!fixture.snapshot().join("README.md").exists());
    assert_eq!(
        fixture.env.run(&["run", "tiny-model", "?"]).success(),
        "Ok\n"
    );

    let again = fixture.run(&["pull", REPO, "--json"]).json();
    assert_eq!(again["downloaded_bytes"], 0);
    assert_eq!(again["path"], fixture.snapshot().to_str().unwrap());
    let quiet = fixture.run(&["pull", REPO, "--quiet"]);
    assert_eq!(
        (quiet.success().trim_end(), quiet.stderr.as_str()),
        (fixture.snapshot().to_str().unwrap(), "")
    );
}

#[test]
fn files_are_selected_by_patterns() {
    let fixture = HubFixture::new();
    fixture
        .run(&[
            "pull",
            REPO,
            "--files",
            "*.md",
            "--files",
            "config.json",
            "--exclude",
            "config.*",
        ])
        .success();
    assert!(fixture.snapshot().join("README.md").exists());
    assert!(!fixture.snapshot().join("config.json").exists());
    fixture.run(&["pull", REPO, "--all"]).success();
    assert!(fixture.snapshot().join(WEIGHTS).exists());
    fixture
        .run(&["pull", REPO, "--files", "*.gguf"])
        .failure(&["matches"]);
    fixture
        .run(&["pull", REPO, "--revision", "v9"])
        .failure(&["v9"]);
}

#[test]
fn run_pulls_with_the_option() {
    let fixture = HubFixture::new();
    let rejected = fixture.run(&["run", REPO, "?"]);
    rejected.failure(&["mlxm pull owner/Tiny-Model"]);
    assert_eq!(fixture.run(&["run", REPO, "?", "--pull"]).success(), "Ok\n");
}

#[test]
fn run_pulls_after_confirmation_and_chats() {
    let fixture = HubFixture::new();
    let mut terminal = Terminal::start(fixture.command(&["run", REPO]));
    terminal.expect("Download it? [y/N] ");
    terminal.line("y");
    terminal.expect(">>> ");
    terminal.line("hello");
    terminal.expect("Ok\r\n");
    terminal.expect(">>> ");
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn interrupted_pull_is_resumed() {
    let fixture = HubFixture::new();
    // Large enough to be written in several steps.
    let weights: Vec<u8> = (0..8_u32 << 20)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fixture.hub.add(
        TestRepo::new(REPO)
            .file("config.json", "{}")
            .large_file(WEIGHTS, weights.clone()),
    );
    fixture.hub.throttle(64 << 10, Duration::from_millis(20));
    let mut child = fixture
        .command(&["pull", REPO])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let blobs = fixture.env.cache().join("models--owner--Tiny-Model/blobs");
    let has_partial_weights = || {
        let partial = |path: PathBuf| {
            path.extension()
                .is_some_and(|extension| extension == "incomplete")
                && path
                    .metadata()
                    .is_ok_and(|metadata| metadata.len() >= 1 << 20)
        };
        std::fs::read_dir(&blobs)
            .is_ok_and(|entries| entries.flatten().any(|entry| partial(entry.path())))
    };
    while !has_partial_weights() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the pull ended too early"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(130), "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("run `mlxm pull owner/Tiny-Model` to resume"),
        "{outcome:#?}"
    );
    assert!(fixture.run(&["list"]).success().contains("(incomplete)"));

    fixture.hub.unthrottle();
    let resumed = fixture.run(&["pull", REPO]);
    resumed.success();
    assert!(resumed.stderr.contains("resuming at"), "{resumed:#?}");
    let last = fixture.hub.content_requests(WEIGHTS).pop().unwrap();
    assert!(last.range.is_some_and(|range| range != "bytes=0-"));
    assert!(std::fs::read(fixture.snapshot().join(WEIGHTS)).unwrap() == weights);
}

#[test]
fn lost_connection_is_retried() {
    let fixture = HubFixture::new();
    fixture.hub.inject(REPO, WEIGHTS, Fault::DropAfter(10_000));
    let outcome = fixture.run(&["pull", REPO]);
    outcome.success();
    assert!(outcome.stderr.contains("retrying in"), "{outcome:#?}");
}

#[test]
fn progress_bars_are_drawn_only_on_a_terminal() {
    let fixture = HubFixture::new();
    let mut terminal = Terminal::start(fixture.command(&["pull", REPO]));
    terminal.expect("already cached");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("files") && screen.contains("━"), "{screen}");

    let fixture = HubFixture::new();
    let mut child = fixture
        .command(&["pull", REPO])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .collect();
    assert!(child.wait().unwrap().success());
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("model.safetensors: ")),
        "{lines:?}"
    );
}

#[test]
fn hub_errors_have_hints() {
    let fixture = HubFixture::new();
    fixture
        .hub
        .add(fixture.repo(TestRepo::new("owner/gated").gated()));
    fixture
        .run(&["pull", "owner/absent"])
        .failure(&["owner/absent", "spelling"]);
    fixture
        .run(&["pull", "owner/gated"])
        .failure(&["owner/gated", "HF_TOKEN"]);
    let outcome = Outcome::of(
        fixture
            .command(&["pull", "owner/gated"])
            .env("HF_TOKEN", "hf_secret"),
    );
    outcome.failure(&["the token in HF_TOKEN"]);
    assert!(!outcome.stderr.contains("hf_secret"), "{outcome:#?}");
    fixture.hub.add(
        TestRepo::new("owner/old")
            .file("config.json", "{}")
            .file("pytorch_model.bin", "x"),
    );
    fixture
        .run(&["pull", "owner/old"])
        .failure(&["pickle", "mlxm search"]);
}

#[test]
fn unwritable_cache_is_an_error() {
    let fixture = HubFixture::new();
    std::fs::write(fixture.env.path().join("hf"), "not a directory").unwrap();
    fixture
        .run(&["pull", REPO])
        .failure(&["cannot write", "HF_HUB_CACHE"]);
}

#[test]
fn search_lists_matching_models() {
    let fixture = HubFixture::new();
    fixture
        .hub
        .add(TestRepo::new("owner/Other-4bit").downloads(12_345));
    fixture
        .hub
        .add(TestRepo::new("owner/Other-dense").tags(&["transformers"]));
    let outcome = fixture.run(&["search", "other"]);
    let line = outcome
        .success()
        .lines()
        .find(|line| line.starts_with("owner/Other-4bit"))
        .unwrap();
    assert!(line.contains("12.3 K"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("Other-dense"), "{outcome:#?}");
    assert!(
        fixture
            .run(&["search", "other", "--all", "--quiet"])
            .success()
            .contains("owner/Other-dense")
    );
    let json = fixture.run(&["search", "other", "--json"]).json();
    assert_eq!(
        (&json[0]["repo"], &json[0]["downloads"]),
        (&"owner/Other-4bit".into(), &12_345.into())
    );
    assert!(
        fixture
            .run(&["search", "nothing-like-this"])
            .success()
            .contains("no models found")
    );
}
