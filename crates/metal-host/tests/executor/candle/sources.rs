//! Finds the sources of candle-metal-kernels, which cargo downloads with the other packages of the lock file.

use crate::support::library;
use mlxm_metal_host::Library;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The directory with the sources.
fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["metadata", "--locked", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap_or_else(|error| panic!("cargo metadata: {error}"));
        let error = String::from_utf8_lossy(&output.stderr);
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("cargo metadata: {error}"));
        let manifest = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["name"] == "candle-metal-kernels")
            .and_then(|package| package["manifest_path"].as_str());
        let Some(manifest) = manifest else {
            panic!("candle-metal-kernels is not among the packages");
        };
        PathBuf::from(manifest)
            .with_file_name("src")
            .join("metal_src")
    })
}

/// A source file, compiled.
pub fn compile(file: &str) -> Library {
    let path = directory().join(file);
    let source =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    library(&source)
}

#[test]
fn every_source_compiles() {
    let mut files = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let skipped = [
            // Included by others.
            "utils.metal",
            // Converts between half and bfloat, which clang does not allow on this CPU.
            "cast.metal",
        ];
        if path
            .extension()
            .is_some_and(|extension| extension == "metal")
            && !skipped.contains(&name)
        {
            assert!(!compile(name).function_names().is_empty(), "{name}");
            files += 1;
        }
    }
    assert!(files >= 14, "{files} files");
}
