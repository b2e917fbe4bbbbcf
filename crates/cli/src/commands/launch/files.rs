//! Files of a client's configuration: written with a backup, and restored.

use std::path::{Path, PathBuf};

use mlxm_api::wire::clients::{ClientFile, DirectoryVariable};

use super::jsonc::{self, InvalidJson};
use super::record::{
    Access, Record, WrittenFile, keep, permissions, read_text, remove_file, restrict, write_text,
};
use crate::failure::Failure;

/// A file as it is, and as it will be.
#[derive(Debug)]
pub struct Prepared<'a> {
    file: &'a ClientFile,
    path: PathBuf,
    current: Option<String>,
    /// `None` if a command writes it.
    content: Option<String>,
}

/// A file that was written.
#[derive(Debug)]
pub struct Written {
    /// Its path.
    pub path: PathBuf,
    /// The copy of the file as it was before the first change.
    pub backup: Option<PathBuf>,
    /// The copy of the version that a user had changed, and of which nothing was kept.
    pub kept: Option<PathBuf>,
}

/// Where a file is, with the variables of the environment.
pub fn path(file: &ClientFile) -> anyhow::Result<PathBuf> {
    let variable = file.directory_variable.as_ref();
    let variable = variable.filter(|variable| applies(variable, cfg!(target_os = "linux")));
    let directory = variable.and_then(|variable| {
        let value = std::env::var_os(&variable.name).filter(|value| !value.is_empty())?;
        let rest = file.directory.strip_prefix(&variable.replaces)?;
        Some(PathBuf::from(value).join(rest.trim_start_matches('/')))
    });
    let directory = match directory {
        Some(directory) => directory,
        None => in_home(&file.directory)?,
    };
    Ok(std::path::absolute(directory)?.join(&file.name))
}

/// Whether the client reads the variable.
fn applies(variable: &DirectoryVariable, is_linux: bool) -> bool {
    is_linux || !variable.is_linux_only
}

/// The path with the home directory in place of `~`.
fn in_home(path: &str) -> anyhow::Result<PathBuf> {
    let Some(rest) = path.strip_prefix("~/") else {
        return Ok(PathBuf::from(path));
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| {
        Failure::with_hint("there is no home directory", "set HOME to a directory")
    })?;
    Ok(PathBuf::from(home).join(rest))
}

/// The path as it is shown in texts of the gateway.
pub fn shown(file: &ClientFile) -> String {
    format!("{}/{}", file.directory, file.name)
}

/// Reads a file, and computes what it will be. Changes nothing.
///
/// # Errors
/// If values are to be set in a file that is not JSON.
pub fn prepare<'a>(file: &'a ClientFile, record: &Record) -> anyhow::Result<Prepared<'a>> {
    let path = path(file)?;
    let current = read_text(&path)?;
    let content = if file.is_written_by_setup {
        None
    } else {
        let text = current.as_deref().unwrap_or_default();
        Some(content(file, &path, text, record.file(&path))?)
    };
    Ok(Prepared {
        file,
        path,
        current,
        content,
    })
}

/// What the file will be: the values of an earlier configuration that are not in this one become those before it.
fn content(
    file: &ClientFile,
    path: &Path,
    current: &str,
    known: Option<&WrittenFile>,
) -> anyhow::Result<String> {
    if file.changes.is_empty() {
        return Ok(file.content.clone());
    }
    // Of a file that a user has removed, nothing is left to restore.
    let known = known.filter(|_| !current.trim().is_empty());
    let earlier = known.map(earlier_text).transpose()?.flatten();
    let earlier = earlier.unwrap_or_default();
    let is_set = |path: &[String]| file.changes.iter().any(|change| change.path == path);
    let obsolete = known.into_iter().flat_map(|known| &known.changes);
    let obsolete = obsolete.filter(|path| !is_set(path));
    let change = || -> Result<String, InvalidJson> {
        let mut text = with_earlier_values(current, &earlier, obsolete)?;
        for change in &file.changes {
            text = jsonc::set(&text, &change.path, &change.value)?;
        }
        Ok(text)
    };
    change().map_err(|error| {
        Failure::with_hint(
            format!("{} cannot be changed: {error}", path.display()),
            "correct it, or move it away, and run the command again",
        )
        .into()
    })
}

impl Prepared<'_> {
    /// Writes the file after a backup, and adds it to the record. One that a command writes is only backed up.
    pub fn write(
        self,
        client: &str,
        access: Access,
        record: &mut Record,
    ) -> anyhow::Result<Written> {
        let Self {
            file,
            path,
            current,
            content,
        } = self;
        let mut written = match record.file(&path) {
            Some(known) => known.clone(),
            None => back_up(client, &path, current.as_deref())?,
        };
        let is_other = |text: &String| *text != written.written;
        let is_edited = written.is_edited || current.as_ref().is_some_and(is_other);
        let is_replaced = content.is_some() && file.changes.is_empty();
        let kept = match &current {
            Some(text) if is_replaced && is_edited => Some(keep(client, &path, text, "changed")?),
            _ => None,
        };
        written.is_edited = is_edited && !is_replaced;
        let changes = file.changes.iter();
        written.changes = changes.map(|change| change.path.clone()).collect();
        if let Some(content) = &content {
            written.written.clone_from(content);
        }
        let backup = written.backup.clone();
        record.set_file(written);
        // Before anything changes: an interrupted launch can be undone.
        record.write(client)?;
        match &content {
            Some(content) => write_text(&path, content, access)?,
            None if access == Access::Private => restrict(&path)?,
            None => {}
        }
        Ok(Written { path, backup, kept })
    }
}

/// Keeps a file as it is before the first change.
fn back_up(client: &str, path: &Path, current: Option<&str>) -> anyhow::Result<WrittenFile> {
    let backup = current.map(|text| keep(client, path, text, "backup"));
    Ok(WrittenFile {
        path: path.to_owned(),
        backup: backup.transpose()?,
        written: current.unwrap_or_default().to_owned(),
        changes: Vec::new(),
        is_edited: false,
        mode: permissions(path)?,
    })
}

/// Records a file as a command has written it.
pub fn note_written(
    client: &str,
    file: &ClientFile,
    access: Access,
    record: &mut Record,
) -> anyhow::Result<()> {
    let path = path(file)?;
    if access == Access::Private {
        restrict(&path)?;
    }
    let Some(known) = record.file(&path) else {
        return Ok(());
    };
    let mut written = known.clone();
    written.written = read_text(&path)?.unwrap_or_default();
    record.set_file(written);
    record.write(client)
}

/// Restores a file; returns where a version is kept that a user has changed since.
pub fn restore(client: &str, file: &WrittenFile) -> anyhow::Result<Option<PathBuf>> {
    let earlier = earlier_text(file)?;
    let access = earlier_access(file)?;
    let Some(current) = read_text(&file.path)? else {
        // Nothing of what was written is left.
        if let Some(text) = &earlier {
            write_text(&file.path, text, access)?;
        }
        return Ok(None);
    };
    let is_changed = file.is_edited || current != file.written;
    if is_changed && !file.changes.is_empty() {
        let text = without_changes(&current, earlier.as_deref().unwrap_or_default(), file)?;
        // Of a file that was not there, nothing need stay.
        let is_nothing = earlier.is_none() && text.trim() == "{}";
        replace(file, Some(text.as_str()).filter(|_| !is_nothing), access)?;
        return Ok(None);
    }
    let kept = is_changed.then(|| keep(client, &file.path, &current, "changed"));
    let kept = kept.transpose()?;
    replace(file, earlier.as_deref(), access)?;
    Ok(kept)
}

/// The file as it was before; `None` if there was none.
fn earlier_text(file: &WrittenFile) -> anyhow::Result<Option<String>> {
    match &file.backup {
        Some(backup) => read_text(backup),
        None => Ok(None),
    }
}

/// The permissions before, unless a user has changed them since.
fn earlier_access(file: &WrittenFile) -> anyhow::Result<Access> {
    let Some(earlier) = file.mode else {
        return Ok(Access::Unchanged);
    };
    let is_ours = match permissions(&file.path)? {
        Some(mode) => Access::Private.mode(Some(earlier)) == mode,
        None => true,
    };
    Ok(if is_ours {
        Access::Mode(earlier)
    } else {
        Access::Unchanged
    })
}

/// Writes a text, or removes a file that was not there.
fn replace(file: &WrittenFile, text: Option<&str>, access: Access) -> anyhow::Result<()> {
    match text {
        Some(text) => write_text(&file.path, text, access),
        None => remove_file(&file.path),
    }
}

/// The text with the earlier values at these paths.
fn with_earlier_values<'a>(
    text: &str,
    earlier: &str,
    mut paths: impl Iterator<Item = &'a Vec<String>>,
) -> Result<String, InvalidJson> {
    paths.try_fold(text.to_owned(), |text, path| {
        jsonc::restore(&text, earlier, path)
    })
}

/// The current text with the earlier values in place of those that were set.
fn without_changes(current: &str, earlier: &str, file: &WrittenFile) -> anyhow::Result<String> {
    with_earlier_values(current, earlier, file.changes.iter()).map_err(|error| {
        Failure::with_hint(
            format!("{} cannot be restored: {error}", file.path.display()),
            match &file.backup {
                Some(backup) => {
                    format!("compare it with {}, which it was before", backup.display())
                }
                None => "remove what is of mlxm in it".to_owned(),
            },
        )
        .into()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mlxm_api::wire::clients::{ClientFileFormat, FileChange};
    use serde_json::{Value, json};

    use super::*;

    fn variable(name: &str) -> Vec<String> {
        vec!["env".to_owned(), name.to_owned()]
    }

    #[test]
    fn values_of_an_earlier_configuration_become_those_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("backup"), r#"{"env": {"OLD": "mine"}}"#).unwrap();
        let current = json!({"env": {"OLD": "1", "LIMIT": "2", "URL": "3"}, "theme": "dark"});
        fs::write(at("settings.json"), current.to_string()).unwrap();
        let known = WrittenFile {
            path: at("settings.json"),
            backup: Some(at("backup")),
            written: current.to_string(),
            changes: ["OLD", "LIMIT", "URL"].map(variable).to_vec(),
            is_edited: false,
            mode: None,
        };
        let record = Record {
            files: vec![known],
            aliases: Vec::new(),
        };
        let mut file = ClientFile {
            directory: directory.path().display().to_string(),
            directory_variable: None,
            name: "settings.json".to_owned(),
            format: ClientFileFormat::Json,
            content: String::new(),
            changes: vec![FileChange {
                path: variable("URL"),
                value: json!("4"),
            }],
            is_written_by_setup: false,
        };
        let content = prepare(&file, &record).unwrap().content.unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&content).unwrap(),
            json!({"env": {"OLD": "mine", "URL": "4"}, "theme": "dark"})
        );
        fs::remove_file(at("settings.json")).unwrap();
        let content = prepare(&file, &record).unwrap().content.unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&content).unwrap(),
            json!({"env": {"URL": "4"}})
        );
        file.is_written_by_setup = true;
        assert_eq!(prepare(&file, &record).unwrap().content, None);
    }

    #[test]
    fn variable_of_linux_does_not_apply_elsewhere() {
        for (is_linux_only, is_linux, expected) in [
            (false, true, true),
            (false, false, true),
            (true, true, true),
            (true, false, false),
        ] {
            let variable = DirectoryVariable {
                name: "XDG_CONFIG_HOME".to_owned(),
                replaces: "~/.config".to_owned(),
                is_linux_only,
            };
            assert_eq!(applies(&variable, is_linux), expected);
        }
    }
}
