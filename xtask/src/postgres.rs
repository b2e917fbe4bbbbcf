//! The programs of Postgres, for the tests of the gateway's database.

use crate::packages::SystemPackage;
use crate::process;
use anyhow::{Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// A major version of Postgres.
pub type Major = u32;

/// The oldest version that is still maintained.
pub const MINIMUM: Major = 14;

/// Environment variable with the directory of `initdb` and `postgres`, which the tests read, or [`SKIP`].
pub const VARIABLE: &str = "MLXM_POSTGRES_BIN";

/// What provides them.
pub const PACKAGE: SystemPackage = SystemPackage {
    debian: "postgresql",
    homebrew: "postgresql@17",
};

/// Leaves out the tests on Postgres.
const SKIP: &str = "skip";

/// Directories with one installation per version, outside the path: of Debian, and of Homebrew on both kinds of Mac.
const INSTALLATIONS: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", ""),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// The value of [`VARIABLE`] for the tests: it is kept if it is set, and otherwise the newest installation.
pub fn programs(minimum: Major) -> Result<PathBuf> {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    if named.as_ref().is_some_and(|value| value == SKIP) {
        return Ok(SKIP.into());
    }
    let candidates = named.map_or_else(installed, |directory| vec![directory.into()]);
    let found = candidates
        .into_iter()
        .filter_map(|directory| Some((version(&directory)?, directory)));
    let found = match found.max() {
        Some((version, directory)) if version >= minimum => return Ok(directory),
        Some((version, directory)) => format!("{} is version {version}", directory.display()),
        None => "none found".to_owned(),
    };
    bail!(
        "the server of Postgres {minimum} or newer is needed: {found}\n\
         \x20 Debian, Ubuntu: sudo apt-get install postgresql\n\
         \x20 macOS:          brew install postgresql@17\n\
         Or set {VARIABLE} to the directory with initdb and postgres, or to `{SKIP}` to leave out the tests on Postgres."
    );
}

/// Directories that may have the programs.
fn installed() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    for (parent, prefix) in INSTALLATIONS {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        let versions = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(prefix)
            });
        directories.extend(versions.map(|path| path.join("bin")));
    }
    directories
}

/// The version of the programs in a directory; `None` if one is missing.
fn version(directory: &Path) -> Option<Major> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let text = process::read(process::program(directory.join("postgres")).arg("--version")).ok()?;
    major(&text)
}

/// The major version in text such as `postgres (PostgreSQL) 17.2 (Debian 17.2-1)`.
fn major(text: &str) -> Option<Major> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_reads_releases_and_prereleases() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)";
        assert_eq!(major(debian), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("postgres: command not found"), None);
    }
}
