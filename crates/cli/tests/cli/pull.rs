//! `mlxm pull` and `search` against a hub on this machine.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use mlxm_testhub::{Fault, TestHub, TestRepo};

use crate::support::terminal::{CTRL_D, Terminal};
use crate::support::{Checkpoint, Outcome, Surroundings};

const REPO: &str = "owner/Tiny-Model";
const WEIGHTS: &str = "model.safetensors";

struct World {
    hub: TestHub,
    surroundings: Surroundings,
}

impl World {
    fn new() -> Self {
        let world = Self {
            hub: TestHub::start(),
            surroundings: Surroundings::new(),
        };
        world.hub.add(world.repo(TestRepo::new(REPO)));
        world
    }

    /// With the files of a checkpoint that can run.
    fn repo(&self, mut repo: TestRepo) -> TestRepo {
        let folder = self.surroundings.path().join("served");
        Checkpoint::saying(&["O", "k"]).write(&folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let content = std::fs::read(&path).unwrap();
            repo = if name == WEIGHTS {
                repo.large_file(&name, content)
            } else {
                repo.file(&name, content)
            };
        }
        repo.file("README.md", "# Tiny")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.surroundings.online(arguments);
        command.env("HF_ENDPOINT", self.hub.endpoint());
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    fn snapshot(&self) -> PathBuf {
        let snapshots = self
            .surroundings
            .cache()
            .join("models--owner--Tiny-Model/snapshots");
        std::fs::read_dir(snapshots)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }
}

#[test]
fn a_pulled_model_runs_and_is_not_pulled_again() {
    let world = World::new();
    let outcome = world.run(&["pull", REPO]);
    assert!(
        outcome.success().contains("owner/Tiny-Model is here"),
        "{outcome:#?}"
    );
    assert!(
        outcome.stderr.contains("model.safetensors: done"),
        "{outcome:#?}"
    );
    assert!(!world.snapshot().join("README.md").exists());
    assert_eq!(
        world
            .surroundings
            .run(&["run", "tiny-model", "?"])
            .success(),
        "Ok\n"
    );

    let again = world.run(&["pull", REPO, "--json"]).json();
    assert_eq!(again["downloaded_bytes"], 0);
    assert_eq!(again["path"], world.snapshot().to_str().unwrap());
    let quiet = world.run(&["pull", REPO, "--quiet"]);
    assert_eq!(
        (quiet.success().trim_end(), quiet.stderr.as_str()),
        (world.snapshot().to_str().unwrap(), "")
    );
}

#[test]
fn files_can_be_chosen() {
    let world = World::new();
    world
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
    assert!(world.snapshot().join("README.md").exists());
    assert!(!world.snapshot().join("config.json").exists());
    world.run(&["pull", REPO, "--all"]).success();
    assert!(world.snapshot().join(WEIGHTS).exists());
    world
        .run(&["pull", REPO, "--files", "*.gguf"])
        .failure(&["matches"]);
    world
        .run(&["pull", REPO, "--revision", "v9"])
        .failure(&["v9"]);
}

#[test]
fn run_pulls_when_told_to() {
    let world = World::new();
    let refused = world.run(&["run", REPO, "?"]);
    refused.failure(&["mlxm pull owner/Tiny-Model"]);
    assert_eq!(world.run(&["run", REPO, "?", "--pull"]).success(), "Ok\n");
}

#[test]
fn run_offers_to_pull_on_a_terminal_and_chats_with_the_model() {
    let world = World::new();
    let mut terminal = Terminal::start(world.command(&["run", REPO]));
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
fn an_interrupted_pull_says_what_is_kept_and_continues_there() {
    let world = World::new();
    // Large enough to be written in several pieces.
    let weights: Vec<u8> = (0..8_u32 << 20)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    world.hub.add(
        TestRepo::new(REPO)
            .file("config.json", "{}")
            .large_file(WEIGHTS, weights.clone()),
    );
    world.hub.throttle(64 << 10, Duration::from_millis(20));
    let mut child = world
        .command(&["pull", REPO])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let blobs = world
        .surroundings
        .cache()
        .join("models--owner--Tiny-Model/blobs");
    let weights_arrive = || {
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
    while !weights_arrive() {
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
            .contains("`mlxm pull owner/Tiny-Model` continues there"),
        "{outcome:#?}"
    );
    assert!(world.run(&["list"]).success().contains("(incomplete)"));

    world.hub.unthrottle();
    let resumed = world.run(&["pull", REPO]);
    resumed.success();
    assert!(resumed.stderr.contains("continuing at"), "{resumed:#?}");
    let last = world.hub.content_requests(WEIGHTS).pop().unwrap();
    assert!(last.range.is_some_and(|range| range != "bytes=0-"));
    assert!(std::fs::read(world.snapshot().join(WEIGHTS)).unwrap() == weights);
}

#[test]
fn a_lost_connection_is_told_and_survived() {
    let world = World::new();
    world.hub.inject(REPO, WEIGHTS, Fault::DropAfter(10_000));
    let outcome = world.run(&["pull", REPO]);
    outcome.success();
    assert!(outcome.stderr.contains("trying again"), "{outcome:#?}");
}

#[test]
fn bars_are_drawn_on_a_terminal_and_lines_elsewhere() {
    let world = World::new();
    let mut terminal = Terminal::start(world.command(&["pull", REPO]));
    terminal.expect("is here");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("files") && screen.contains("━"), "{screen}");

    let world = World::new();
    let mut child = world
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
fn what_the_hub_refuses_comes_with_advice() {
    let world = World::new();
    world
        .hub
        .add(world.repo(TestRepo::new("owner/gated").gated()));
    world
        .run(&["pull", "owner/absent"])
        .failure(&["owner/absent", "spelling"]);
    world
        .run(&["pull", "owner/gated"])
        .failure(&["owner/gated", "HF_TOKEN"]);
    let outcome = Outcome::of(
        world
            .command(&["pull", "owner/gated"])
            .env("HF_TOKEN", "hf_secret"),
    );
    outcome.failure(&["the token in HF_TOKEN"]);
    assert!(!outcome.stderr.contains("hf_secret"), "{outcome:#?}");
    world.hub.add(
        TestRepo::new("owner/old")
            .file("config.json", "{}")
            .file("pytorch_model.bin", "x"),
    );
    world
        .run(&["pull", "owner/old"])
        .failure(&["pickle", "mlxm search"]);
}

#[test]
fn a_cache_that_cannot_be_written() {
    let world = World::new();
    std::fs::write(
        world.surroundings.path().join("hf"),
        "a file where the folder should be",
    )
    .unwrap();
    world
        .run(&["pull", REPO])
        .failure(&["cannot write", "HF_HUB_CACHE"]);
}

#[test]
fn search_lists_models_of_the_hub() {
    let world = World::new();
    world
        .hub
        .add(TestRepo::new("owner/Other-4bit").downloads(12_345));
    world
        .hub
        .add(TestRepo::new("owner/Other-dense").tags(&["transformers"]));
    let outcome = world.run(&["search", "other"]);
    let line = outcome
        .success()
        .lines()
        .find(|line| line.starts_with("owner/Other-4bit"))
        .unwrap();
    assert!(line.contains("12.3 K"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("Other-dense"), "{outcome:#?}");
    assert!(
        world
            .run(&["search", "other", "--all", "--quiet"])
            .success()
            .contains("owner/Other-dense")
    );
    let json = world.run(&["search", "other", "--json"]).json();
    assert_eq!(
        (&json[0]["repo"], &json[0]["downloads"]),
        (&"owner/Other-4bit".into(), &12_345.into())
    );
    assert!(
        world
            .run(&["search", "nothing-like-this"])
            .success()
            .contains("nothing found")
    );
}
