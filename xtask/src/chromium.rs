//! Chromium, for tests and benchmarks of the web page.

use crate::packages::SystemPackage;
use anyhow::{Result, bail};
use std::env;
use std::path::PathBuf;

/// Environment variable with the browser, which the tests read.
pub const VARIABLE: &str = "MLXM_CHROMIUM";

/// What provides it.
pub const PACKAGE: SystemPackage = SystemPackage {
    debian: "chromium",
    homebrew: "chromium",
};

/// Names in the path. Debian's is the first.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Applications on a Mac.
const APPLICATIONS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The browser in [`VARIABLE`], else an installed one.
///
/// # Errors
/// If there is none, with the command that installs one.
pub fn program() -> Result<PathBuf> {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let is_named = named.is_some();
    let candidates = named.map_or_else(candidates, |path| vec![path.into()]);
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let found = match candidates.first() {
        Some(path) if is_named => format!("{} is not a file", path.display()),
        _ => "none found".to_owned(),
    };
    bail!(
        "Chromium is needed for the tests of the web page: {found}\n\
         \x20 Debian, Ubuntu: sudo apt-get install chromium\n\
         \x20 macOS:          brew install --cask chromium\n\
         Or set {VARIABLE} to the program of Chromium or Chrome, or leave out these tests with `--skip browser`."
    );
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path)
        .flat_map(|directory| NAMES.map(|name| directory.join(name)))
        .collect::<Vec<_>>();
    in_path
        .into_iter()
        .chain(APPLICATIONS.map(PathBuf::from))
        .collect()
}
