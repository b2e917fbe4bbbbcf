//! The sources of Rust's standard library out of Debian's `rust-src` package, fetched by apt without being root and
//! without touching the machine's own package lists.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The suite that carries recent Rust sources.
pub const SUITE: &str = "forky";

/// Signs every Debian suite.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Sources of a standard library 1.`minor_version`.
pub struct Sources {
    pub library: PathBuf,
    pub minor_version: u32,
}

/// Fills `directory` with the package's library sources.
pub fn unpack_sources(directory: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(directory)?;
    let configuration = configure_apt(scratch.path())?;
    let apt = || {
        let mut command = process::program("apt-get");
        command
            .env("APT_CONFIG", &configuration)
            .current_dir(scratch.path());
        command
    };
    process::run(apt().args(["update", "-qq"]))
        .context("apt could not read Debian's package lists")?;
    process::run(apt().args(["download", "-qq", "rust-src"]))
        .context("apt could not download rust-src")?;
    let package = fs::read_dir(scratch.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt left no package file")?;
    let mut archive = process::program("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let content = archive
        .stdout
        .take()
        .context("dpkg-deb has a standard output")?;
    let unpacked = process::run(
        process::program("tar")
            .args(["--extract", "--directory"])
            .arg(directory)
            .args(["--wildcards", "./usr/src/rustc-*/library/*"])
            .stdin(content),
    );
    let archived = archive.wait()?;
    unpacked?;
    if !archived.success() {
        bail!("dpkg-deb could not read {}", package.display());
    }
    Ok(())
}

/// The sources that [`unpack_sources`] left in `directory`.
pub fn find_sources(directory: &Path) -> Result<Sources> {
    for entry in fs::read_dir(directory.join("usr/src"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let library = entry.path().join("library");
        if let Some(minor) = name
            .strip_prefix("rustc-1.")
            .and_then(|version| version.split('.').next())
            && library.is_dir()
        {
            let minor_version = minor
                .parse()
                .with_context(|| format!("{name} has no version"))?;
            return Ok(Sources {
                library,
                minor_version,
            });
        }
    }
    bail!("Debian's rust-src package holds no standard library");
}

/// Writes a configuration that makes apt keep its state in `directory` and look at one suite of the machine's mirror.
fn configure_apt(directory: &Path) -> Result<PathBuf> {
    let Some(mirror) = mirror() else {
        bail!(
            "the Mac's standard library cannot be had: `rustup target add {}` does not work here, and this is no \
             Debian to take its sources from",
            super::TARGET
        );
    };
    for part in [
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ] {
        fs::create_dir_all(directory.join(part))?;
    }
    fs::write(directory.join("status"), "")?;
    fs::write(
        directory.join("etc/sources.list"),
        format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"),
    )?;
    let root = directory.display();
    let configuration = directory.join("apt.conf");
    // A mirror that has not been refreshed for a while serves: what it has is signed all the same.
    fs::write(
        &configuration,
        format!(
            "Dir::Etc \"{root}/etc\";\nDir::Etc::SourceParts \"/dev/null\";\nDir::State \"{root}/state\";\n\
             Dir::State::status \"{root}/status\";\nDir::Cache \"{root}/cache\";\nAcquire::Check-Valid-Until \"false\";\n\
             Acquire::Languages \"none\";\n\
             APT::Sandbox::User \"root\";\n"
        ),
    )?;
    Ok(configuration)
}

/// The Debian mirror the machine uses, from either form of its sources list.
fn mirror() -> Option<String> {
    if !Path::new(KEYRING).exists() || !process::succeeds(Command::new("apt-get").arg("--version"))
    {
        return None;
    }
    let lists = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ];
    lists
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|list| {
            list.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                match words.next()? {
                    "URIs:" => words.next().map(str::to_owned),
                    "deb" => words.find(|word| word.contains("://")).map(str::to_owned),
                    _ => None,
                }
            })
        })
}
