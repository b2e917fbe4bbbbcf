//! What `mlxm launch` has changed for a client, so that `--undo` can restore it: `$MLXM_HOME/clients/CLIENT/`.
//!
//! Files there can contain keys: they are readable by their owner only.

use std::fs;
use std::io::{self, Write as _};
use std::iter;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::context;

const FILE_NAME: &str = "record.json";

/// Readable and writable by the owner only.
const PRIVATE: u32 = 0o600;

/// The permissions of the owner.
const OWNER: u32 = 0o700;

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// Who can read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Those who could before; the owner only if it is new.
    Unchanged,
    /// The owner only.
    Private,
    /// Those whom these permissions name.
    Mode(u32),
}

impl Access {
    /// The permissions to write, of a file that has these or does not exist.
    pub fn mode(self, existing: Option<u32>) -> u32 {
        match (self, existing) {
            (Self::Mode(mode), _) | (Self::Unchanged, Some(mode)) => mode,
            (Self::Private, Some(mode)) => mode & OWNER,
            (_, None) => PRIVATE,
        }
    }
}

/// The changes for a client.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Files that were written.
    pub files: Vec<WrittenFile>,
    /// Aliases that were set.
    pub aliases: Vec<SetAlias>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its path.
    pub path: PathBuf,
    /// The copy of the file as it was before; `None` if there was none.
    pub backup: Option<PathBuf>,
    /// What was written.
    pub written: String,
    /// The values that were set in it; empty if all of it was written.
    pub changes: Vec<Vec<String>>,
    /// Whether `written` has changes of the user that the backup does not have.
    #[serde(default)]
    pub is_edited: bool,
    /// Its permissions before; `None` if there was no file.
    #[serde(default)]
    pub mode: Option<u32>,
}

/// An alias that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAlias {
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// What it stood for before; `None` if there was none.
    pub previous: Option<String>,
    /// The URL of the gateway; `None` for the one of this home directory, whose address can change.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// The directory of a client's record.
fn directory(client: &str) -> anyhow::Result<PathBuf> {
    Ok(context::require_home()?.join("clients").join(client))
}

/// The clients with a record.
pub fn clients() -> anyhow::Result<Vec<String>> {
    let directory = context::require_home()?.join("clients");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| cannot("read", &directory)),
    };
    let mut clients: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join(FILE_NAME).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    clients.sort();
    Ok(clients)
}

impl Record {
    /// The record of a client; an empty one if nothing was changed for it.
    pub fn read(client: &str) -> anyhow::Result<Self> {
        let path = directory(client)?.join(FILE_NAME);
        let Some(text) = read_text(&path)? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).with_context(|| cannot("read", &path))
    }

    /// Stores the record.
    pub fn write(&self, client: &str) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let path = directory(client)?.join(FILE_NAME);
        write_text(&path, &text, Access::Private)
    }

    /// Removes the record and the backups of a client. Files that a user has changed since stay there.
    pub fn remove(&self, client: &str) -> anyhow::Result<()> {
        let directory = directory(client)?;
        let backups = self.files.iter().filter_map(|file| file.backup.clone());
        // The record first: without its backups, it would restore nothing in place of files.
        for path in iter::once(directory.join(FILE_NAME)).chain(backups) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| cannot("remove", &path));
                }
                _ => {}
            }
        }
        // Not empty if something was kept there.
        let _ = fs::remove_dir(&directory);
        Ok(())
    }

    /// What is known about a file.
    pub fn file(&self, path: &Path) -> Option<&WrittenFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Adds what was written to a file. Its first backup stays the one to restore.
    pub fn set_file(&mut self, file: WrittenFile) {
        match self.files.iter_mut().find(|known| known.path == file.path) {
            Some(known) => *known = file,
            None => self.files.push(file),
        }
    }

    /// Adds an alias. What it stood for first stays what is restored, unless the user has changed it since.
    pub fn set_alias(&mut self, alias: SetAlias) {
        let known = self
            .aliases
            .iter_mut()
            .find(|known| known.name == alias.name && known.gateway == alias.gateway);
        match known {
            Some(known) if alias.previous.as_ref() == Some(&known.target) => {
                known.target = alias.target;
            }
            Some(known) => *known = alias,
            None => self.aliases.push(alias),
        }
    }
}

/// Copies a file to the directory of the client's record, to a new file; returns its path.
pub fn keep(client: &str, path: &Path, text: &str, suffix: &str) -> anyhow::Result<PathBuf> {
    let directory = directory(client)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut copy = directory.join(format!("{name}.{suffix}"));
    // Files in different directories can have the same name.
    let mut number = 1_usize;
    while copy.symlink_metadata().is_ok() {
        number += 1;
        copy = directory.join(format!("{name}.{suffix}.{number}"));
    }
    write_text(&copy, text, Access::Private)?;
    Ok(copy)
}

/// The text of a file; `None` if there is none.
pub fn read_text(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| cannot("read", path)),
    }
}

/// The permissions of a file; `None` if there is none.
pub fn permissions(path: &Path) -> anyhow::Result<Option<u32>> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some(file.permissions().mode() & 0o777)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| cannot("read", path)),
    }
}

/// Takes the permissions of others from a file, if there is one.
pub fn restrict(path: &Path) -> anyhow::Result<()> {
    let Some(mode) = permissions(path)?.filter(|mode| mode & !OWNER != 0) else {
        return Ok(());
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode & OWNER))
        .with_context(|| cannot("change the permissions of", path))
}

/// Writes a file as a whole, and creates its directory. The target of a symbolic link is written, also if it does not exist.
pub fn write_text(path: &Path, text: &str, access: Access) -> anyhow::Result<()> {
    let path = target(path);
    let mode = access.mode(permissions(&path)?);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| cannot("create", directory))?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        // Otherwise it could be empty after a power failure, and the earlier one lost.
        file.sync_all()?;
        fs::rename(&partial, &path)
    };
    write()
        .inspect_err(|_| {
            // Left over, if it was created at all.
            let _ = fs::remove_file(&partial);
        })
        .with_context(|| cannot("write", &path))
}

/// Removes a file. A symbolic link stays, and its target is removed.
pub fn remove_file(path: &Path) -> anyhow::Result<()> {
    let path = target(path);
    fs::remove_file(&path).with_context(|| cannot("remove", &path))
}

/// Where symbolic links lead, also if there is nothing.
fn target(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("/")).join(next);
    }
    path
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn written_file_has_the_permissions_that_are_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.json");
        let write = |access: Access| {
            write_text(&path, "{}", access).unwrap();
            permissions(&path).unwrap()
        };
        assert_eq!(permissions(&path).unwrap(), None);
        assert_eq!(write(Access::Unchanged), Some(0o600));
        assert_eq!(write(Access::Mode(0o644)), Some(0o644));
        assert_eq!(write(Access::Unchanged), Some(0o644));
        assert_eq!(write(Access::Private), Some(0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        restrict(&path).unwrap();
        assert_eq!(permissions(&path).unwrap(), Some(0o700));
        restrict(&directory.path().join("absent")).unwrap();
        // Nothing else is left.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_stay_and_directories_are_created() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("home")).unwrap();
        symlink("../dotfiles/settings.json", at("home/first")).unwrap();
        symlink("first", at("home/second")).unwrap();
        let second = at("home/second");
        for text in ["one", "two"] {
            write_text(&second, text, Access::Unchanged).unwrap();
            assert_eq!(read_text(&second).unwrap().as_deref(), Some(text));
            assert_eq!(
                fs::read_link(&second).unwrap().as_path(),
                Path::new("first")
            );
            assert!(at("home/first").is_symlink());
            assert!(at("dotfiles/settings.json").is_file());
        }
        remove_file(&second).unwrap();
        assert!(second.is_symlink());
        assert!(!at("dotfiles/settings.json").exists());
    }

    #[test]
    fn alias_that_the_user_has_changed_is_restored_to_that() {
        let set =
            |record: &mut Record, target: &str, previous: Option<&str>, gateway: Option<&str>| {
                record.set_alias(SetAlias {
                    name: "a".to_owned(),
                    target: target.to_owned(),
                    previous: previous.map(str::to_owned),
                    gateway: gateway.map(str::to_owned),
                });
            };
        let mut record = Record::default();
        set(&mut record, "one", Some("first"), None);
        set(&mut record, "two", Some("one"), None);
        assert_eq!(record.aliases[0].target, "two");
        assert_eq!(record.aliases[0].previous.as_deref(), Some("first"));
        set(&mut record, "three", Some("mine"), None);
        assert_eq!(record.aliases[0].previous.as_deref(), Some("mine"));
        // Deleted by the user.
        set(&mut record, "three", None, None);
        assert_eq!(record.aliases[0].previous, None);
        set(
            &mut record,
            "three",
            Some("there"),
            Some("http://a.example"),
        );
        assert_eq!(record.aliases.len(), 2);
        assert_eq!(record.aliases[1].previous.as_deref(), Some("there"));
    }
}
