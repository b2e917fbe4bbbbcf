//! The compiler of Metal kernels for the tests on a CPU, and the runtime of its sanitizers.

use crate::packages::{SystemPackage, find_or_install};
use crate::process;
use anyhow::{Result, bail};
use std::env;
use std::path::Path;

/// The version that the tests are written for.
const VERSION: u32 = 19;

/// Environment variable with another clang++, which the tests read.
const VARIABLE: &str = "MLXM_CLANG";

const COMPILER: SystemPackage = SystemPackage {
    debian: "clang-19",
    homebrew: "llvm@19",
};

const RUNTIME: SystemPackage = SystemPackage {
    debian: "libclang-rt-19-dev",
    homebrew: "llvm@19",
};

/// Installs both if they are missing. The kernels are tested on Linux alone.
pub fn require() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let compiler = find_or_install(COMPILER, compiler)?;
    find_or_install(RUNTIME, || runtime(&compiler))
}

/// The program that the tests run.
fn compiler() -> Result<String> {
    let candidates = match env::var(VARIABLE) {
        Ok(named) => vec![named],
        Err(_) => vec![format!("clang++-{VERSION}"), "clang++".to_owned()],
    };
    for candidate in candidates {
        if process::succeeds(process::program(&candidate).arg("--version")) {
            return Ok(candidate);
        }
    }
    bail!(
        "clang {VERSION} is needed to test the Metal kernels\n\
         \x20 Debian, Ubuntu: sudo apt-get install clang-{VERSION} libclang-rt-{VERSION}-dev\n\
         Or set {VARIABLE} to another clang++."
    );
}

fn runtime(compiler: &str) -> Result<()> {
    let name = format!("libclang_rt.asan-{}.so", env::consts::ARCH);
    let argument = format!("-print-file-name={name}");
    let path = process::read(process::program(compiler).arg(argument))?;
    // The name alone if there is no such file.
    if Path::new(&path).is_absolute() {
        return Ok(());
    }
    bail!(
        "the sanitizers of clang are needed to test the Metal kernels, and {compiler} has no {name}\n\
         \x20 Debian, Ubuntu: sudo apt-get install libclang-rt-{VERSION}-dev"
    );
}
