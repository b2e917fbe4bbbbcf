//! Runs programs for Arm Linux on another processor: qemu, and the C library that the programs are linked with.

use super::debian;
use crate::{cache, process};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Where Debian's and Ubuntu's packages put Arm's C library.
const LIBRARIES: &str = "usr/aarch64-linux-gnu";

/// An emulator of user programs.
pub struct Emulator {
    program: PathBuf,
    /// The directory that stands for the root when a program asks for its libraries.
    libraries: PathBuf,
}

impl Emulator {
    /// Fetches it from Debian, or finds the one installed where that is out of reach.
    pub fn prepare() -> Result<Self> {
        if debian::is_available() {
            let root = cache::entry(
                &format!("arm-linux/emulator-{}", debian::SUITE),
                |directory| {
                    debian::unpack(
                        &[
                            ("qemu-user", "./usr/bin/qemu-aarch64"),
                            ("libc6-arm64-cross", "./usr/aarch64-linux-gnu/lib/*"),
                        ],
                        directory,
                    )
                },
            )?;
            return Ok(Self {
                program: root.join("usr/bin/qemu-aarch64"),
                libraries: root.join(LIBRARIES),
            });
        }
        let libraries = Path::new("/").join(LIBRARIES);
        for name in ["qemu-aarch64", "qemu-aarch64-static"] {
            if libraries.is_dir() && process::succeeds(process::program(name).arg("--version")) {
                return Ok(Self {
                    program: name.into(),
                    libraries,
                });
            }
        }
        bail!(
            "an emulator of Arm processors and Arm's C library are needed\n\
             \x20 Ubuntu: sudo apt-get install qemu-user libc6-arm64-cross"
        );
    }

    /// The words that come before a program to run it on a processor with every extension the emulator knows.
    pub fn runner(&self) -> String {
        // Cargo splits the value at blanks, so a path with one cannot be passed.
        format!(
            "{} -cpu max -L {}",
            self.program.display(),
            self.libraries.display()
        )
    }
}
