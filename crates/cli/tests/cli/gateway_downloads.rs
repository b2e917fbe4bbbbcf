//! `mlxm pull` and `downloads` with the queue of a gateway.

use std::process::Stdio;

use crate::gateway_process::wait_until;
use crate::support::Outcome;
use crate::support::gateway::InBackground;
use crate::support::hub::{HubFixture, REPO};

#[test]
fn pulled_model_is_downloaded_by_the_gateway_and_runs() {
    let fixture = HubFixture::new();
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
    let fixture = HubFixture::slow();
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
    let fixture = HubFixture::slow();
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
    let fixture = HubFixture::new();
    let _gateway = fixture.gateway();
    fixture
        .run(&["pull", "owner/absent"])
        .failure(&["owner/absent"]);
    fixture.run(&["pull", "absent"]).failure(&["absent"]);
}

#[test]
fn detached_pull_starts_a_gateway_and_a_plain_one_does_not() {
    let fixture = HubFixture::new();
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
    wait_until("the download is done", || fixture.state() == "done");
}
