//! llama.cpp, built from the source package of its Python binding, which includes its sources.

use crate::{cache, process, python};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The source package.
pub const PACKAGE: &str = "llama-cpp-python==0.3.36";

/// Build requirements: pip runs the package's build backend for its metadata, and cmake and ninja build the programs.
const PACKAGE_TOOLS: &str = "scikit-build-core==1.1.2\ncmake==4.4.4\nninja==1.13.2\n";

/// The programs that the tasks use.
const PROGRAMS: &[&str] = &[
    "llama-bench",
    "llama-batched-bench",
    "llama-completion",
    "llama-quantize",
    "llama-server",
];

/// An environment with the tools to fetch and build the package.
pub fn environment() -> Result<python::Environment> {
    python::Environment::prepare("sdist", python::OLDEST, PACKAGE_TOOLS)
}

/// Downloads the source archive into `directory`.
pub fn download(environment: &python::Environment, directory: &Path) -> Result<PathBuf> {
    let options = ["--no-binary", ":all:", "--no-build-isolation"];
    environment.download(PACKAGE, directory, &options)
}

/// The directory with llama.cpp's programs, built once for this machine's CPU.
pub fn programs() -> Result<PathBuf> {
    let entry = cache::entry(&format!("bench/{}", entry_name()), |directory| {
        let environment = environment()?;
        let scratch = tempfile::tempdir_in(directory)?;
        let archive = download(&environment, scratch.path())?;
        let unpacked = scratch.path().join("source");
        process::run(
            environment
                .python()
                .args(["-m", "tarfile", "-e"])
                .arg(&archive)
                .arg(&unpacked),
        )?;
        build(&environment, &source(&unpacked)?, &directory.join("build"))?;
        let bin = directory.join("bin");
        fs::create_dir(&bin)?;
        for program in PROGRAMS {
            fs::rename(directory.join("build/bin").join(program), bin.join(program))?;
        }
        cache::remove(&directory.join("build"))
    })?;
    Ok(entry.join("bin"))
}

/// The name of the cache entry, with the package's version.
fn entry_name() -> String {
    let version = PACKAGE.rsplit("==").next().unwrap_or(PACKAGE);
    format!("llama.cpp-{version}")
}

fn build(environment: &python::Environment, source: &Path, build: &Path) -> Result<()> {
    process::run(
        environment
            .program("cmake")
            .arg("-S")
            .arg(source)
            .arg("-B")
            .arg(build)
            .args([
                "-G",
                "Ninja",
                "-DCMAKE_BUILD_TYPE=Release",
                "-DGGML_NATIVE=ON",
                "-DLLAMA_CURL=OFF",
                "-DLLAMA_BUILD_TESTS=OFF",
                "-DBUILD_SHARED_LIBS=OFF",
                "-DGGML_ALL_WARNINGS=OFF",
                "-DLLAMA_ALL_WARNINGS=OFF",
            ]),
    )?;
    process::run(
        environment
            .program("cmake")
            .arg("--build")
            .arg(build)
            .arg("--target")
            .args(PROGRAMS),
    )
}

/// llama.cpp's directory in the unpacked archive.
fn source(unpacked: &Path) -> Result<PathBuf> {
    fs::read_dir(unpacked)?
        .flatten()
        .map(|entry| entry.path().join("vendor/llama.cpp"))
        .find(|path| path.join("CMakeLists.txt").is_file())
        .with_context(|| format!("{PACKAGE} has no vendor/llama.cpp"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn entry_name_has_the_version() {
        assert_eq!(super::entry_name(), "llama.cpp-0.3.36");
    }
}
