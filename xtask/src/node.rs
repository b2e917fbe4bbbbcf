//! Node.js, and npm packages at the versions of a lock file.

use crate::{cache, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Major and minor version of Node.js.
type Version = (u32, u32);

/// The oldest version for which the packages are made.
const MINIMUM: Version = (20, 19);

const LOCK: &str = "package-lock.json";

/// Whether Node.js and npm are installed.
///
/// # Errors
/// If they are not, with the command that installs them.
pub fn find() -> Result<()> {
    let found = match process::read(process::program("node").arg("--version")) {
        Err(_) => "none found".to_owned(),
        Ok(text) => match version(&text) {
            Some(version) if version < MINIMUM => format!("node is version {text}"),
            Some(_) if process::succeeds(process::program("npm").arg("--version")) => {
                return Ok(());
            }
            Some(_) => format!("node ({text}) has no npm"),
            None => format!("node reports the version {text}"),
        },
    };
    let (major, minor) = MINIMUM;
    bail!(
        "Node.js {major}.{minor} or newer with npm is needed: {found}\n\
         \x20 Debian, Ubuntu: sudo apt-get install nodejs npm\n\
         \x20 macOS:          brew install node"
    );
}

/// The version in text such as `v20.19.2`.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Installed packages.
pub struct Packages {
    directory: PathBuf,
}

impl Packages {
    /// The packages of the lock file in `project`, installed into the cache as `name` unless they are there.
    pub fn prepare(name: &str, project: &Path) -> Result<Self> {
        find()?;
        let directory = cache::directory()?.join("node").join(name);
        let _lock = cache::lock(&format!("node-{name}"))?;
        let wanted = read(&project.join(LOCK))?;
        // Written last, so that an interrupted installation is repeated.
        let stamp = directory.join("installed.json");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(Self { directory });
        }
        cache::remove(&directory)?;
        fs::create_dir_all(&directory)?;
        for file in ["package.json", LOCK] {
            fs::write(directory.join(file), read(&project.join(file))?)?;
        }
        install(&directory)?;
        fs::write(&stamp, wanted)?;
        Ok(Self { directory })
    }

    /// Node.js with the packages available to `require`.
    pub fn node(&self) -> Command {
        let mut command = process::program("node");
        command.env("NODE_PATH", self.directory.join("node_modules"));
        command
    }
}

/// Installs the packages of the lock file in `project` there, where editors and bundlers look for them, unless they are there.
pub fn install_in(project: &Path) -> Result<()> {
    find()?;
    let wanted = read(&project.join(LOCK))?;
    let stamp = project.join("node_modules/.installed.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install(project)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Scripts of packages are not run: none needs them.
fn install(directory: &Path) -> Result<()> {
    let options = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    process::run(process::program("npm").args(options).current_dir(directory)).context(
        "npm could not install the packages; check the network and the proxy and registry in your npm settings",
    )
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v20.19.2"), Some((20, 19)));
        assert!(version("v20.9.0").is_some_and(|version| version < MINIMUM));
        assert!(version("v22.1.0-nightly").is_some_and(|version| version > MINIMUM));
        assert_eq!(version("20.19.2"), None);
        assert_eq!(version("v20"), None);
    }
}
