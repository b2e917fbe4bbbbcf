//! Packages of the operating system that only tests need. They are installed where that asks for no password.

use crate::process;
use anyhow::Result;
use std::process::Command;

/// A package under its names in both package managers.
#[derive(Clone, Copy)]
pub struct SystemPackage {
    pub debian: &'static str,
    pub homebrew: &'static str,
}

/// `find`, and once more after an installation of `package` if it failed and the package could be installed.
///
/// # Errors
/// The last one of `find`.
pub fn find_or_install<T>(package: SystemPackage, find: impl Fn() -> Result<T>) -> Result<T> {
    find().or_else(|missing| {
        if install(package) {
            find()
        } else {
            Err(missing)
        }
    })
}

/// Whether the package was installed.
fn install(package: SystemPackage) -> bool {
    if cfg!(target_os = "macos") {
        return process::run(process::program("brew").args(["install", package.homebrew])).is_ok();
    }
    let Some(root) = as_root() else {
        return false;
    };
    let apt = |arguments: &[&str]| {
        let mut command = root("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command).is_ok()
    };
    let install = [
        "install",
        "--yes",
        "--no-install-recommends",
        package.debian,
    ];
    // The lists of packages may be missing or old.
    apt(&install) || (apt(&["update"]) && apt(&install))
}

/// How to run programs as root without a password, on a system with Debian's packages.
fn as_root() -> Option<fn(&str) -> Command> {
    if !process::succeeds(process::program("apt-get").arg("--version")) {
        return None;
    }
    if process::read(process::program("id").arg("-u")).is_ok_and(|user| user == "0") {
        return Some(|name| process::program(name));
    }
    let sudo = |name: &str| {
        let mut command = process::program("sudo");
        command.args(["--non-interactive", name]);
        command
    };
    process::succeeds(&mut sudo("true")).then_some(sudo)
}
