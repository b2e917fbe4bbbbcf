//! Runs programs for Arm Linux on other CPUs: qemu, and the C library that the programs are linked with.

use super::debian;
use crate::{cache, process};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Where Debian's and Ubuntu's packages put Arm's C library.
const LIBRARIES: &str = "usr/aarch64-linux-gnu";

/// A user-mode emulator.
pub struct Emulator {
    program: PathBuf,
    /// The root directory for the program's libraries.
    libraries: PathBuf,
}

impl Emulator {
    /// Fetches it from Debian, or uses an installed one elsewhere.
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
            "an Arm emulator and the C library for Arm are needed\n\
             \x20 Ubuntu: sudo apt-get install qemu-user libc6-arm64-cross"
        );
    }

    /// The command that runs a program on a CPU with every extension that the emulator supports.
    pub fn runner(&self) -> String {
        // Cargo splits the value at spaces, so the paths must not contain any.
        format!(
            "{} -cpu max -L {}",
            self.program.display(),
            self.libraries.display()
        )
    }
}
