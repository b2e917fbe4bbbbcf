//! Programs that must be installed. Those that only tests need are installed if that is possible; for all others there are
//! instructions.

use crate::packages::find_or_install;
use crate::{chromium, clang, node, postgres, process};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;

/// A minor version of Python 3.
pub type Minor = u32;

/// Environment variable with a Python interpreter to use instead of searching the path.
const PYTHON_OVERRIDE: &str = "MLXM_PYTHON";

/// A program that must be installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Prerequisite {
    CCompilers,
    Clippy,
    Rustfmt,
    /// A Python of at least this version.
    Python(Minor),
    /// Node.js of the oldest supported version or newer, with npm.
    Node,
    /// A Chromium, for tests of the web page.
    Chromium,
    /// The compiler of Metal kernels for the CPU, with its sanitizers.
    Clang,
    /// A Postgres of at least this version, with its server.
    Postgres(postgres::Major),
}

impl Prerequisite {
    fn check(self) -> Result<()> {
        match self {
            Self::CCompilers => c_compilers(),
            Self::Clippy => cargo_component("clippy", "clippy"),
            Self::Rustfmt => cargo_component("fmt", "rustfmt"),
            Self::Python(minimum) => python(minimum).map(|_| ()),
            Self::Node => node::find(),
            Self::Chromium => find_or_install(chromium::PACKAGE, chromium::program).map(|_| ()),
            Self::Clang => clang::require(),
            Self::Postgres(minimum) => {
                find_or_install(postgres::PACKAGE, || postgres::programs(minimum)).map(|_| ())
            }
        }
    }
}

/// Returns one error that lists everything that is missing.
pub fn require(prerequisites: &[Prerequisite]) -> Result<()> {
    let missing: BTreeSet<String> = prerequisites
        .iter()
        .filter_map(|prerequisite| Some(prerequisite.check().err()?.to_string()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("{}", Vec::from_iter(missing).join("\n\n"))
    }
}

/// A Python of at least version 3.`minimum` that can make virtual environments.
pub fn python(minimum: Minor) -> Result<OsString> {
    let candidates = match env::var_os(PYTHON_OVERRIDE) {
        Some(named) => vec![named],
        None => [
            "python3",
            "python3.13",
            "python3.12",
            "python3.11",
            "python3.10",
            "python",
        ]
        .map(Into::into)
        .to_vec(),
    };
    let mut found = Vec::new();
    for candidate in candidates {
        let script = "import sys; print(sys.version_info.major, sys.version_info.minor)";
        let Ok(version) = process::read(process::program(&candidate).args(["-c", script])) else {
            continue;
        };
        let name = candidate.to_string_lossy().into_owned();
        let Some(minor) = version
            .strip_prefix("3 ")
            .and_then(|minor| minor.parse::<Minor>().ok())
        else {
            found.push(format!("{name} is version {}", version.replace(' ', ".")));
            continue;
        };
        if minor < minimum {
            found.push(format!("{name} is version 3.{minor}"));
        } else if process::succeeds(
            process::program(&candidate).args(["-c", "import ensurepip, venv"]),
        ) {
            return Ok(candidate);
        } else {
            found.push(format!("{name} (3.{minor}) has no venv module"));
        }
    }
    let found = if found.is_empty() {
        "none found".to_owned()
    } else {
        found.join("; ")
    };
    bail!(
        "Python 3.{minimum} or newer with its venv module is needed: {found}\n\
         \x20 Debian, Ubuntu: sudo apt-get install python3 python3-venv\n\
         \x20 macOS:          brew install python@3.13\n\
         Or set {PYTHON_OVERRIDE} to an interpreter."
    );
}

/// A C and a C++ compiler, for native code of the tokenizer and the TLS library.
fn c_compilers() -> Result<()> {
    for (variable, default, language) in [("CC", "cc", "C"), ("CXX", "c++", "C++")] {
        let compiler = env::var_os(variable)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| default.into());
        // The variable may contain options after the program.
        let words = compiler.to_string_lossy().into_owned();
        let mut words = words.split_whitespace();
        let name = words.next().unwrap_or(default);
        if !process::succeeds(process::program(name).args(words).arg("--version")) {
            bail!(
                "a {language} compiler is needed, and `{name}` cannot be run\n\
                 \x20 Debian, Ubuntu: sudo apt-get install build-essential\n\
                 \x20 macOS:          xcode-select --install"
            );
        }
    }
    Ok(())
}

/// A component of the Rust toolchain that provides `cargo SUBCOMMAND`.
fn cargo_component(subcommand: &str, component: &str) -> Result<()> {
    if !process::succeeds(process::cargo().args([subcommand, "--version"])) {
        bail!(
            "`cargo {subcommand}` is not installed\n\
             \x20 with rustup:    rustup component add {component}\n\
             \x20 Debian, Ubuntu: sudo apt-get install {}",
            if component == "clippy" {
                "rust-clippy"
            } else {
                component
            }
        );
    }
    Ok(())
}
