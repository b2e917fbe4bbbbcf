//! Help texts and usage errors.

use crate::support::TestEnv;

const COMMANDS: [&str; 27] = [
    "run",
    "serve",
    "pull",
    "list",
    "show",
    "rm",
    "search",
    "ps",
    "status",
    "start",
    "stop",
    "restart",
    "downloads",
    "profile",
    "logs",
    "audit",
    "config",
    "backup",
    "restore",
    "secrets",
    "launch",
    "open",
    "convert",
    "perplexity",
    "bench",
    "doctor",
    "completion",
];

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(TestEnv::new().run(&["--help"]).success());
}

#[test]
fn help_of_every_command() {
    let env = TestEnv::new();
    for command in COMMANDS {
        let outcome = env.run(&[command, "--help"]);
        assert!(outcome.success().contains("Examples:"), "{command}");
        insta::assert_snapshot!(format!("help_of_{command}"), outcome.stdout);
    }
}

#[test]
fn version_prints_the_package_version() {
    let outcome = TestEnv::new().run(&["--version"]);
    assert_eq!(
        outcome.success(),
        format!("mlxm {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn usage_errors_exit_with_code_2() {
    let env = TestEnv::new();
    for arguments in [
        ["frobnicate"].as_slice(),
        &["run"],
        &["list", "--frobnicate"],
        &["list", "--json", "--quiet"],
        &["list", "--color", "pink"],
        &["run", "x", "--device", "tpu"],
        &["run", "x", "--activation-dtype", "approximate"],
        &["run", "x", "--kv-cache-dtype", "int4"],
    ] {
        env.run(arguments).failure_with(2, &[]);
    }
}

#[test]
fn commands_have_the_names_of_similar_programs() {
    let env = TestEnv::new();
    for (alias, command) in [
        ("chat", "run"),
        ("get", "pull"),
        ("download", "pull"),
        ("ls", "list"),
        ("delete", "rm"),
        ("load", "start"),
        ("unload", "stop"),
        ("connect", "launch"),
    ] {
        let help = |name: &str| env.run(&[name, "--help"]).success().to_owned();
        assert_eq!(help(alias), help(command), "{alias}");
    }
}

#[test]
fn color_is_off_without_a_terminal_or_with_no_color() {
    let env = TestEnv::new();
    assert!(!env.run(&["list"]).success().contains('\x1b'));
    assert!(!env.run(&["run", "absent", "?"]).stderr.contains('\x1b'));
    assert!(
        env.run(&["run", "absent", "?", "--color", "always"])
            .stderr
            .contains('\x1b')
    );
    let mut command = env.command(&["run", "absent", "?"]);
    let outcome = crate::support::Outcome::of(command.env("NO_COLOR", "1"));
    assert!(!outcome.stderr.contains('\x1b'));
}
