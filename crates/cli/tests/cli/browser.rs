//! The page in the browser: `mlxm serve` on a terminal, and `mlxm open`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mlxm_api::gateway::has_page;

use crate::gateway_process::wait_until;
use crate::support::gateway::{Gateway, description};
use crate::support::terminal::{CTRL_C, Terminal};
use crate::support::{Outcome, TestEnv};

/// The programs that open URLs, on Linux and on macOS.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

/// Keeps the URL. It is renamed, so that a test reads all of it.
const KEEP_URL: &str = "echo \"$1\" > \"$HOME/partial\"\nmv \"$HOME/partial\" \"$HOME/opened\"";

/// Stands in for a desktop: programs that open URLs run a script, and there is a display.
struct Desktop {
    programs: PathBuf,
    opened: PathBuf,
}

impl Desktop {
    fn new(env: &TestEnv, script: &str) -> Self {
        let programs = env.path().join("bin");
        fs::create_dir(&programs).unwrap();
        for name in OPENERS {
            write_program(&programs.join(name), script);
        }
        Self {
            programs,
            opened: env.path().join("opened"),
        }
    }

    fn command(&self, env: &TestEnv, arguments: &[&str]) -> Command {
        let mut path = OsString::from(&self.programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = env.command(arguments);
        command.env("PATH", path).env("DISPLAY", ":0");
        command
    }

    /// The URL that was opened.
    fn opened(&self) -> Option<String> {
        let text = fs::read_to_string(&self.opened).ok()?;
        Some(text.trim_end().to_owned())
    }
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Presses Ctrl-C and waits for the exit.
#[track_caller]
fn stop(mut terminal: Terminal) {
    terminal.send(CTRL_C);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
}

#[test]
fn gateway_on_a_terminal_opens_its_page() {
    let env = TestEnv::new();
    let desktop = Desktop::new(&env, KEEP_URL);
    let mut terminal = Terminal::start(desktop.command(&env, &["serve", "--port", "0"]));
    terminal.expect("press Ctrl-C to stop");
    let url = description(&env).unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    // A program that was compiled without the page has none to show.
    let expected = has_page().then(|| format!("{url}/"));
    wait_until("the page is opened", || desktop.opened() == expected);
    stop(terminal);
    assert_eq!(desktop.opened(), expected);
}

#[test]
fn page_is_not_opened_if_it_is_not_wanted_or_not_seen() {
    let ssh = ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22");
    for (arguments, variables) in [(&["--no-open"][..], &[][..]), (&[][..], &[ssh][..])] {
        let env = TestEnv::new();
        let desktop = Desktop::new(&env, KEEP_URL);
        let arguments = [&["serve", "--port", "0"], arguments].concat();
        let mut command = desktop.command(&env, &arguments);
        command.envs(variables.iter().copied());
        let mut terminal = Terminal::start(command);
        terminal.expect("press Ctrl-C to stop");
        stop(terminal);
        assert_eq!(desktop.opened(), None, "{arguments:?}");
    }
    let env = TestEnv::new();
    let desktop = Desktop::new(&env, KEEP_URL);
    let (gateway, mut command) = (Gateway::start(&env), desktop.command(&env, &["open"]));
    assert_eq!(desktop.opened(), None, "not on a terminal");
    Outcome::of(&mut command).success();
    assert_eq!(desktop.opened().as_deref(), Some(gateway.url()));
}

#[test]
fn browser_that_cannot_be_opened_stops_no_gateway() {
    let env = TestEnv::new();
    let desktop = Desktop::new(&env, "exit 1");
    let mut terminal = Terminal::start(desktop.command(&env, &["serve", "--port", "0"]));
    terminal.expect("press Ctrl-C to stop");
    if has_page() {
        terminal.expect("cannot open a browser");
        terminal.expect("--no-open");
    }
    let outcome = Outcome::of(&mut desktop.command(&env, &["open"]));
    outcome.failure(&["cannot open a browser", "http://127.0.0.1:", "yourself"]);
    stop(terminal);
}
