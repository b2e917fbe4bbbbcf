//! Virtual environments with pinned packages, kept in the cache.

use crate::{cache, prerequisites, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest supported Python, as a minor version of Python 3.
pub const OLDEST: prerequisites::Minor = 10;

/// A virtual environment.
pub struct Environment {
    directory: PathBuf,
}

impl Environment {
    /// The environment `name` with exactly `requirements` (the text of a requirements file), created unless the cache
    /// has it. Its Python is version 3.`minimum` or newer.
    pub fn prepare(name: &str, minimum: prerequisites::Minor, requirements: &str) -> Result<Self> {
        let base = prerequisites::python(minimum)?;
        let directory = cache::directory()?.join("python").join(name);
        let _lock = cache::lock(&format!("python-{name}"))?;
        let environment = Self { directory };
        // Written last, so that an interrupted installation is repeated.
        let stamp = environment.directory.join("requirements.txt");
        let current = fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements);
        if current && process::succeeds(environment.python().arg("--version")) {
            return Ok(environment);
        }
        cache::remove(&environment.directory)?;
        process::run(
            process::program(base)
                .args(["-m", "venv"])
                .arg(&environment.directory),
        )?;
        let wanted = environment.directory.join("wanted.txt");
        fs::write(&wanted, requirements)?;
        process::run(environment.pip().args(["install", "--quiet", "--requirement"]).arg(&wanted)).context(
            "pip could not install the packages; check the network and the proxy and index in your pip settings",
        )?;
        fs::rename(&wanted, &stamp)?;
        Ok(environment)
    }

    /// An environment without packages but pip.
    pub fn with_pip_only() -> Result<Self> {
        Self::prepare("pip", OLDEST, "")
    }

    /// The interpreter, with the environment active.
    pub fn python(&self) -> Command {
        self.program("python")
    }

    /// pip, without prompts and progress bars.
    pub fn pip(&self) -> Command {
        let mut command = self.python();
        command
            .args(["-m", "pip", "--no-input", "--disable-pip-version-check"])
            .env("PIP_PROGRESS_BAR", "off");
        command
    }

    /// A program installed by the environment's packages, with the environment active.
    pub fn program(&self, name: &str) -> Command {
        let bin = self.directory.join("bin");
        let mut command = process::program(bin.join(name));
        let mut path = bin.into_os_string();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        command
            .env("PATH", path)
            .env("VIRTUAL_ENV", &self.directory)
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH");
        command
    }

    /// The directory of the environment's packages.
    pub fn site_packages(&self) -> Result<PathBuf> {
        let script = "import sysconfig; print(sysconfig.get_path('platlib'))";
        Ok(process::read(self.python().args(["-c", script]))?.into())
    }

    /// Downloads one package file (a wheel or a source archive) into `directory` and returns its path. `options` are
    /// further options of `pip download`.
    pub fn download(
        &self,
        requirement: &str,
        directory: &Path,
        options: &[&str],
    ) -> Result<PathBuf> {
        process::run(
            self.pip()
                .args(["download", "--quiet", "--no-deps", "--dest"])
                .arg(directory)
                .args(options)
                .arg(requirement),
        )
        .with_context(|| format!("pip could not download {requirement}"))?;
        let name = requirement
            .split("==")
            .next()
            .unwrap_or(requirement)
            .replace('-', "_")
            .to_lowercase();
        fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                let file = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .replace('-', "_")
                    .to_lowercase();
                file.starts_with(&name)
            })
            .with_context(|| {
                format!(
                    "pip left no file for {requirement} in {}",
                    directory.display()
                )
            })
    }
}
