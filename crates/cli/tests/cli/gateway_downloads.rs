//! `mlxm pull` and `downloads` with the queue of a gateway.

use std::process::{Command, Stdio};
use std::time::Duration;

use mlxm_testhub::{TestHub, TestRepo};

use crate::gateway_process::wait_until;
use crate::support::gateway::{Gateway, InBackground};
use crate::support::{Checkpoint, Outcome, TestEnv};

const REPO: &str = "owner/Tiny-Model";
const WEIGHTS: &str = "model.safetensors";

struct Fixture {
    hub: TestHub,
    env: TestEnv,
}

impl Fixture {
    /// A hub with a small checkpoint.
    fn new() -> Self {
        let fixture = Self {
            hub: TestHub::start(),
            env: TestEnv::new(),
        };
        let folder = fixture.env.path().join("served");
        Checkpoint::saying(&["O", "k"]).write(&folder);
        let mut repo = TestRepo::new(REPO);
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
        fixture.hub.add(repo);
        fixture
    }

    /// Slow enough for a test to act during the download.
    fn slow() -> Self {
        let fixture = Self::new();
        fixture.hub.throttle(4 << 10, Duration::from_millis(50));
        fixture
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.env.online(arguments);
        command.env("HF_ENDPOINT", self.hub.endpoint());
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    fn gateway(&self) -> Gateway<'_> {
        let variables = [
            ("HF_ENDPOINT", self.hub.endpoint()),
            ("HF_HUB_OFFLINE", "0"),
        ];
        Gateway::start_with(&self.env, &variables)
    }

    /// The state of the only download.
    fn state(&self) -> String {
        let downloads = self.run(&["downloads", "list", "--all", "--json"]).json();
        downloads[0]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

#[test]
fn pulled_model_is_downloaded_by_the_gateway_and_runs() {
    let fixture = Fixture::new();
    let gateway = fixture.gateway();
    let outcome = fixture.run(&["pull", REPO, "--json"]);
    let pulled = outcome.json();
    assert_eq!(pulled["repo"], REPO);
    assert!(
        pulled["path"]
            .as_str()
            .unwrap()
            .contains("models--owner--Tiny-Model"),
        "{pulled}"
    );
    assert!(
        outcome.stderr.contains("downloading with the gateway"),
        "{outcome:#?}"
    );
    assert_eq!(fixture.state(), "done");
    assert!(
        fixture
            .run(&["downloads"])
            .success()
            .contains("no downloads")
    );
    assert_eq!(gateway.run(&["run", "tiny-model", "?"]).success(), "Ok\n");
    assert_eq!(gateway.running(), [REPO]);
}

#[test]
fn interrupted_pull_is_paused_and_resumed() {
    let fixture = Fixture::slow();
    let _gateway = fixture.gateway();
    let child = fixture
        .command(&["pull", REPO])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the download runs", || fixture.state() == "running");
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(130), "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("paused: `mlxm pull owner/Tiny-Model`"),
        "{outcome:#?}"
    );
    wait_until("the download is paused", || fixture.state() == "paused");
    let list = fixture.run(&["downloads"]);
    assert!(list.success().contains("paused"), "{list:#?}");

    fixture.hub.unthrottle();
    fixture.run(&["pull", REPO]).success();
    assert_eq!(fixture.state(), "done");
}

#[test]
fn downloads_are_paused_resumed_and_cancelled_by_name() {
    let fixture = Fixture::slow();
    let _gateway = fixture.gateway();
    let queued = fixture.run(&["get", REPO, "--detach"]);
    assert!(
        queued.success().contains("is in the download queue"),
        "{queued:#?}"
    );
    wait_until("the download runs", || fixture.state() == "running");
    fixture.run(&["downloads", "pause", "tiny"]).success();
    wait_until("the download is paused", || fixture.state() == "paused");
    fixture
        .run(&["downloads", "pause", "tinny-model"])
        .failure(&[
            "no download `tinny-model`",
            "did you mean `owner/Tiny-Model`?",
        ]);
    fixture.run(&["downloads", "resume", "tiny"]).success();
    wait_until("the download runs", || fixture.state() == "running");
    fixture.run(&["downloads", "order", "tiny"]).success();
    fixture
        .run(&["downloads", "cancel", "tiny", "--delete-partial"])
        .success();
    wait_until("the download is cancelled", || {
        fixture.state() == "cancelled"
    });
}

#[test]
fn wrong_repositories_are_errors_with_hints() {
    let fixture = Fixture::new();
    let _gateway = fixture.gateway();
    fixture
        .run(&["pull", "owner/absent"])
        .failure(&["owner/absent"]);
    fixture.run(&["pull", "absent"]).failure(&["absent"]);
}

#[test]
fn detached_pull_starts_a_gateway_and_a_plain_one_does_not() {
    let fixture = Fixture::new();
    let plain = fixture.run(&["pull", REPO, "--quiet"]);
    plain.success();
    assert!(
        fixture
            .run(&["downloads"])
            .stderr
            .contains("no gateway is running")
    );
    let _gateway = InBackground(&fixture.env);
    let outcome = fixture.run(&["pull", REPO, "--detach"]);
    outcome.success();
    assert!(
        outcome
            .stderr
            .contains("starting the gateway in the background"),
        "{outcome:#?}"
    );
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while fixture.state() != "done" {
        assert!(std::time::Instant::now() < deadline, "{}", fixture.state());
        std::thread::sleep(Duration::from_millis(20));
    }
}
