//! npm packages at the versions of a lock file, kept in the cache.

use crate::{cache, prerequisites, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installed packages.
pub struct Packages {
    directory: PathBuf,
}

impl Packages {
    /// The packages of the lock file in `project`, installed into the cache as `name` unless they are there.
    ///
    /// They need Node.js `minimum` or newer.
    pub fn prepare(name: &str, minimum: prerequisites::Major, project: &Path) -> Result<Self> {
        prerequisites::node(minimum)?;
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
        let options = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        process::run(process::program("npm").args(options).current_dir(&directory)).context(
            "npm could not install the packages; check the network and the proxy and registry in your npm settings",
        )?;
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

const LOCK: &str = "package-lock.json";

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
