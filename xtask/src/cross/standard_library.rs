//! A target's standard library: from rustup, or built from Debian's `rust-src` package if rustup is absent or offline.

use super::{Target, debian};
use crate::{cache, process};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A target's standard library and the compiler that matches it.
pub enum StandardLibrary {
    /// Part of the project's own toolchain.
    Installed,
    /// Built with the toolchain in `compiler` into `sysroot`.
    Built { compiler: PathBuf, sysroot: PathBuf },
}

impl StandardLibrary {
    /// Finds, installs or builds it, in this order of preference.
    pub fn prepare(target: &Target) -> Result<Self> {
        if is_installed(target)? {
            return Ok(Self::Installed);
        }
        let added = process::run(process::program("rustup").args(["target", "add", target.triple]));
        if added.is_ok() && is_installed(target)? {
            return Ok(Self::Installed);
        }
        if !debian::is_available() {
            bail!(
                "no standard library for {triple}: `rustup target add {triple}` failed, and this system is not \
                 Debian, whose package with the sources could be used instead",
                triple = target.triple
            );
        }
        eprintln!("rustup cannot provide it; building it from Debian's rust-src package instead");
        build(target)
    }

    /// Whether it belongs to the project's own toolchain.
    pub fn is_own_compiler(&self) -> bool {
        matches!(self, Self::Installed)
    }

    /// A cargo that finds the library.
    pub fn cargo(&self, target: &Target) -> Command {
        match self {
            Self::Installed => process::cargo(),
            Self::Built { compiler, sysroot } => {
                let mut command = cargo_of(compiler);
                let mut flags = OsString::from("--sysroot=");
                flags.push(sysroot);
                command.env(target.cargo_variable("RUSTFLAGS"), flags);
                command
            }
        }
    }
}

/// Whether the current compiler can compile for the target.
fn is_installed(target: &Target) -> Result<bool> {
    let directory = process::read(process::program("rustc").args([
        "--print",
        "target-libdir",
        "--target",
        target.triple,
    ]))?;
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(false);
    };
    Ok(entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Sources of the standard library 1.`minor_version`.
struct Sources {
    library: PathBuf,
    minor_version: u32,
}

/// Finds the sources in the unpacked package in `directory`.
fn find_sources(directory: &Path) -> Result<Sources> {
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

/// Builds the library with the installed compiler whose version is nearest to the sources.
fn build(target: &Target) -> Result<StandardLibrary> {
    let package = cache::entry(&format!("rust-src-{}", debian::SUITE), |directory| {
        debian::unpack(&[("rust-src", "./usr/src/rustc-*/library/*")], directory)
    })?;
    let sources = find_sources(&package)?;
    let compiler = nearest_compiler(sources.minor_version)?;
    let version = read_version(&compiler)?;
    let name: String = version
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || character == '.' {
                character
            } else {
                '-'
            }
        })
        .collect();
    let sysroot = cache::entry(&format!("{}/std-{name}", target.directory), |directory| {
        compile(target, &sources.library, &compiler, directory).with_context(|| {
            format!(
                "{version} cannot build the standard library 1.{}, which is Debian's; a working \
                 `rustup target add {}` makes this unnecessary",
                sources.minor_version, target.triple
            )
        })
    })?;
    Ok(StandardLibrary::Built { compiler, sysroot })
}

/// The sysroot of the installed compiler whose 1.x version is nearest to `minor_version`; the current one wins a tie.
fn nearest_compiler(minor_version: u32) -> Result<PathBuf> {
    let mut sysroots = vec![process::read(
        process::program("rustc").args(["--print", "sysroot"]),
    )?];
    if let Ok(toolchains) = process::read(process::program("rustup").args(["toolchain", "list"])) {
        for toolchain in toolchains
            .lines()
            .filter_map(|line| line.split_whitespace().next())
        {
            let rustc = ["run", toolchain, "rustc", "--print", "sysroot"];
            sysroots.extend(process::read(process::program("rustup").args(rustc)).ok());
        }
    }
    sysroots
        .into_iter()
        .map(PathBuf::from)
        .filter_map(|sysroot| {
            let version = read_version(&sysroot).ok()?;
            let minor: u32 = version
                .strip_prefix("rustc 1.")?
                .split('.')
                .next()?
                .parse()
                .ok()?;
            Some((minor.abs_diff(minor_version), sysroot))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, sysroot)| sysroot)
        .context("no installed Rust compiler reports its version")
}

fn read_version(sysroot: &Path) -> Result<String> {
    process::read(process::program(sysroot.join("bin/rustc")).arg("--version"))
}

/// Builds a sysroot for the target in `directory`.
fn compile(target: &Target, library: &Path, compiler: &Path, directory: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(directory)?;
    let package = scratch.path();
    fs::create_dir(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), "")?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"seed\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    process::run(
        cargo_of(compiler)
            .args(["build", "--quiet", "--release", "--target", target.triple])
            .arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test")
            .current_dir(package)
            .env("CARGO_TARGET_DIR", package.join("target"))
            // Cargo's internal variable for a standard library outside of the toolchain.
            .env("__CARGO_TESTS_ONLY_SRC_ROOT", library)
            // Enables -Z in a stable toolchain.
            .env("RUSTC_BOOTSTRAP", "1"),
    )?;
    let built = package
        .join("target")
        .join(target.triple)
        .join("release/deps");
    let installed = directory
        .join("lib/rustlib")
        .join(target.triple)
        .join("lib");
    fs::create_dir_all(&installed)?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path
            .extension()
            .is_some_and(|extension| extension == "rlib")
            && !name.starts_with("libseed-")
        {
            fs::copy(&path, installed.join(name))?;
        }
    }
    Ok(())
}

/// The cargo of a sysroot, without environment variables that select other compilers.
fn cargo_of(sysroot: &Path) -> Command {
    let bin = sysroot.join("bin");
    let mut command = process::program(bin.join("cargo"));
    let mut path = bin.clone().into_os_string();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    command.env("PATH", path).env("RUSTC", bin.join("rustc"));
    for variable in [
        "CARGO",
        "RUSTDOC",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
    ] {
        command.env_remove(variable);
    }
    command
}
