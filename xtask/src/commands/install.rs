//! `cargo xtask install`: puts the release build of mlxm in place.

use crate::prerequisites::Prerequisite;
use crate::{mlxm, prerequisites, web};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// Build mlxm and install it into ~/.cargo/bin.
#[derive(Args)]
pub struct Arguments {
    /// Install into DIR/bin instead
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Leave out the web page, which needs Node.js
    #[arg(long)]
    no_page: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    // Checked first: the build takes some minutes.
    let directory = match &arguments.prefix {
        Some(prefix) => std::path::absolute(prefix)?,
        None => cargo_directory()?,
    }
    .join("bin");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    prerequisites::require(&[Prerequisite::CCompilers])?;
    if !arguments.no_page {
        web::build_for_program()?;
    }
    let program = mlxm::build()?;
    let installed = install(&program, &directory)?;
    println!("\ninstalled {}", installed.display());
    if !is_in_path(&directory) {
        println!("Add {} to PATH to run it as `mlxm`.", directory.display());
    }
    println!("Next: `mlxm doctor`, and `mlxm completion --help` for shell completion.");
    Ok(())
}

/// Where cargo installs programs.
fn cargo_directory() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    set("CARGO_INSTALL_ROOT")
        .or_else(|| set("CARGO_HOME"))
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("no home directory; choose another one with --prefix")
}

/// Copies the program. A running one continues with its old file.
fn install(program: &Path, directory: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?;
    let installed = directory.join(name);
    let partial = directory.join(format!(".{}.{}", name.display(), process::id()));
    let copied = fs::copy(program, &partial).and_then(|_| fs::rename(&partial, &installed));
    if copied.is_err() {
        // Left over, if it was created at all.
        let _ = fs::remove_file(&partial);
    }
    copied.with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(installed)
}

fn is_in_path(directory: &Path) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|entry| entry == directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_replaces_the_program_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("mlxm");
        let target = folder.path().join("bin");
        fs::create_dir(&target).unwrap();
        for content in ["old", "new"] {
            fs::write(&program, content).unwrap();
            let installed = install(&program, &target).unwrap();
            assert_eq!(fs::read_to_string(installed).unwrap(), content);
            assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        }
    }
}
