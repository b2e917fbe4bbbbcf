//! Packages of a recent Debian, fetched by apt without root privileges and without changing the system's package lists.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The suite with recent Rust sources and a recent emulator.
pub const SUITE: &str = "forky";

/// Signs every Debian suite.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether this system has a Debian mirror and the keyring to verify its packages.
pub fn is_available() -> bool {
    mirror().is_some()
}

/// Unpacks files of packages into `directory`. `packages` are pairs of a package name and a tar pattern that begins with
/// `./`.
pub fn unpack(packages: &[(&str, &str)], directory: &Path) -> Result<()> {
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
    for (package, pattern) in packages {
        process::run(apt().args(["download", "-qq", package]))
            .with_context(|| format!("apt could not download {package}"))?;
        let file = fs::read_dir(scratch.path())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
            })
            .with_context(|| format!("apt left no file for {package}"))?;
        extract(&file, pattern, directory)?;
    }
    Ok(())
}

fn extract(package: &Path, pattern: &str, directory: &Path) -> Result<()> {
    let mut archive = process::program("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
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
            .args(["--wildcards", pattern])
            .stdin(content),
    );
    let archived = archive.wait()?;
    unpacked?;
    if !archived.success() {
        bail!("dpkg-deb could not read {}", package.display());
    }
    Ok(())
}

/// Writes a configuration that makes apt keep its state in `directory` and use one suite of the system's mirror.
fn configure_apt(directory: &Path) -> Result<PathBuf> {
    let mirror =
        mirror().context("this needs packages of Debian, and this system is not Debian")?;
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
    // An outdated mirror is acceptable: its packages are signed.
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

/// The system's Debian mirror, from either format of its sources list.
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
