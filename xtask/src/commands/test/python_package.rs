//! The step `package`: the Python package as the wheel has it, without the release build of the wheel.

use super::environment::{TestEnvironment, test_environment};
use crate::{cache, process, workspace};
use anyhow::{Context, Result};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;

/// Where the wheel has the extension module, in the package.
const MODULE: &str = "_mlxm.abi3.so";

/// Copies the sources and the extension module to one directory, with the metadata that maturin writes.
pub fn assemble(environment: &TestEnvironment) -> Result<()> {
    let packages = environment.python_packages();
    cache::remove(&packages)?;
    let project = workspace::root().join("bindings/python");
    let package = packages.join("mlxm");
    fs::create_dir_all(&package)?;
    for entry in fs::read_dir(project.join("python/mlxm"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), package.join(entry.file_name()))?;
        }
    }
    let built = environment
        .program()
        .with_file_name(format!("{DLL_PREFIX}mlxm{DLL_SUFFIX}"));
    fs::copy(&built, package.join(MODULE))
        .with_context(|| format!("cannot copy {}", built.display()))?;
    process::run(
        test_environment()?
            .program("maturin")
            .args(["pep517", "write-dist-info", "--metadata-directory"])
            .arg(&packages)
            .current_dir(&project),
    )
}
