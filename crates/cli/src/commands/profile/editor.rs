//! Editing a profile in the user's editor.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use mlxm_api::wire::profiles::{Profile, ProfileConfig};

use super::text::{self, Format};
use crate::context::{self, Context};
use crate::failure::{self, Failure};
use crate::locate;

/// Variables with the editor, which may have arguments.
const VARIABLES: [&str; 2] = ["VISUAL", "EDITOR"];
const DEFAULT_EDITOR: &str = "vi";

/// Opens an editor, checks the text, and saves it with `save`. After an error, the user can edit it again; otherwise the file is
/// kept. `None` if nothing was changed.
pub fn edit(
    context: &Context,
    config: &ProfileConfig,
    format: Format,
    save: impl Fn(&ProfileConfig) -> anyhow::Result<Profile>,
) -> anyhow::Result<Option<Profile>> {
    if format == Format::Modelfile {
        return Err(Failure::Usage("a profile is edited as toml or json".to_owned()).into());
    }
    let original = text::format(config, format)?;
    let path = create(&original, format)?;
    loop {
        run_editor(&path)?;
        let edited =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // An editor that was closed without saving also ends the edit of a new profile.
        if edited == original || edited.trim().is_empty() {
            remove(&path);
            return Ok(None);
        }
        let error = match text::parse(&edited, format).and_then(|config| save(&config)) {
            Ok(profile) => {
                remove(&path);
                return Ok(Some(profile));
            }
            Err(error) => error,
        };
        let message = failure::describe(&error).1.unwrap_or_default();
        context.output.error(message.trim_end());
        // Without a terminal, the user cannot be asked.
        if !locate::confirm("The profile was not saved. Edit it again?").unwrap_or(false) {
            context
                .output
                .note(&format!("your changes are in {}", path.display()));
            return Err(Failure::Reported.into());
        }
    }
}

/// A private file with the text.
fn create(text: &str, format: Format) -> anyhow::Result<PathBuf> {
    let home = context::require_home()?;
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let path = home.join(format!(
        "profile-{}.{}",
        std::process::id(),
        format.extension()
    ));
    let write = || -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn remove(path: &Path) {
    // A left-over file does no harm.
    let _ = fs::remove_file(path);
}

fn run_editor(path: &Path) -> anyhow::Result<()> {
    let editor = VARIABLES
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|editor| !editor.trim().is_empty())
        .unwrap_or_else(|| DEFAULT_EDITOR.to_owned());
    // The shell splits the arguments of the editor, as git does it.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(path)
        .status()
        .context("cannot start sh")?;
    if !status.success() {
        remove(path);
        return Err(Failure::with_hint(
            format!("the editor `{editor}` failed ({status}); the profile was not changed"),
            "set VISUAL or EDITOR to another editor, or use --set KEY=VALUE",
        )
        .into());
    }
    Ok(())
}
