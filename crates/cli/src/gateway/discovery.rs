//! `$MLXM_HOME/gateway.json`, with which commands find the running gateway. The gateway writes it when it accepts requests and
//! removes it when it exits.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mlxm_gateway::ProcessIdentity;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const FILE_NAME: &str = "gateway.json";

/// A running gateway. No `Debug`: the token is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFile {
    /// Base URL, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Its process; the start time distinguishes it from a later process with the same id.
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// Version of mlxm.
    pub version: String,
    /// A key with all rights, valid until the gateway exits.
    pub token: String,
}

impl GatewayFile {
    /// The file of this process. `None` if the OS does not tell when it was started.
    pub fn of_this_process(url: String, token: String) -> Option<Self> {
        Some(Self {
            url,
            process: ProcessIdentity::read(std::process::id())?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token,
        })
    }

    /// Where the file is.
    pub fn path(home: &Path) -> PathBuf {
        home.join(FILE_NAME)
    }

    /// Writes the file, readable by its owner only. Readers see the old one or the whole new one.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        let partial = home.join(format!("{FILE_NAME}.{}", std::process::id()));
        let written = self
            .write_to(&partial)
            .and_then(|()| fs::rename(&partial, Self::path(home)));
        if written.is_err() {
            // Left over, if it was created at all.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")
    }

    /// Removes the file, unless another gateway has replaced it.
    pub fn remove(&self, home: &Path) -> io::Result<()> {
        if matches!(Self::read_file(home), Ok(Some(current)) if current == *self) {
            return fs::remove_file(Self::path(home));
        }
        Ok(())
    }

    /// The gateway of this home directory whose process is running; `None` if there is none.
    pub fn read(home: &Path) -> anyhow::Result<Option<Self>> {
        let file = Self::read_file(home)
            .with_context(|| format!("cannot read {}", Self::path(home).display()))?;
        Ok(file.filter(|file| file.process.is_alive()))
    }

    fn read_file(home: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(Self::path(home)) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match serde_json::from_str(&text) {
            Ok(file) => Ok(Some(file)),
            Err(error) => Err(Failure::with_hint(
                format!("it was not written by this version of mlxm ({error})"),
                "restart the gateway; if none is running, delete the file",
            )
            .into()),
        }
    }
}

/// Whether there is no such file, which is also so if a component of the path is a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file() -> GatewayFile {
        GatewayFile::of_this_process("http://127.0.0.1:1".to_owned(), "secret".to_owned()).unwrap()
    }

    #[test]
    fn written_file_is_private_and_found_until_it_is_removed() {
        let home = tempfile::tempdir().unwrap();
        assert!(GatewayFile::read(home.path()).unwrap().is_none());
        let no_directory = home.path().join("a file");
        fs::write(&no_directory, "").unwrap();
        assert!(GatewayFile::read(&no_directory).unwrap().is_none());
        fs::remove_file(no_directory).unwrap();
        file().write(home.path()).unwrap();
        let mode = fs::metadata(GatewayFile::path(home.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(GatewayFile::read(home.path()).unwrap() == Some(file()));
        file().remove(home.path()).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn file_of_an_exited_process_is_ignored() {
        let home = tempfile::tempdir().unwrap();
        let mut stale = file();
        stale.process.start_time_s -= 60;
        stale.write(home.path()).unwrap();
        assert!(GatewayFile::read(home.path()).unwrap().is_none());
        // It is not this process's own, either.
        file().remove(home.path()).unwrap();
        assert!(GatewayFile::path(home.path()).exists());
    }

    #[test]
    fn damaged_file_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        for text in ["", "{}", "[1]"] {
            fs::write(GatewayFile::path(home.path()), text).unwrap();
            let Err(error) = GatewayFile::read(home.path()) else {
                panic!("{text:?} was accepted");
            };
            assert!(error.to_string().contains(FILE_NAME), "{error:#}");
        }
    }
}
