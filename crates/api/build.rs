//! Lists the files of the web page, which `cargo xtask web` builds, for [`include!`] in the crate. Without them the list is
//! empty: the crate needs no Node.js.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_directory = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let build = crate_directory.join("../../web/build");
    // In a clone it always exists. Cargo compares the times of all files in it.
    println!("cargo::rerun-if-changed={}", build.display());
    let site = build.join("site");
    let mut files = Vec::new();
    if site.is_dir() {
        find_files(&site, &mut files)?;
    }
    files.sort();
    let list = Path::new(&variable("OUT_DIR")?).join("page.rs");
    fs::write(list, list_of(&site, &files)?)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

fn find_files(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The source of a slice with one element for each file: its compressed form if there is one.
fn list_of(site: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut list = String::from("&[\n");
    for file in files {
        // Browsers accept brotli only over TLS and on localhost, so that gzip has to be there in any case.
        let is_compressed_form = |extension: &str| {
            file.extension().is_some_and(|found| found == extension)
                && files.contains(&file.with_extension(""))
        };
        if is_compressed_form("gz") || is_compressed_form("br") {
            continue;
        }
        let mut compressed = file.clone().into_os_string();
        compressed.push(".gz");
        let compressed = PathBuf::from(compressed);
        let is_gzip = files.contains(&compressed);
        let content = if is_gzip { &compressed } else { file };
        let path = file.strip_prefix(site).map_err(io::Error::other)?;
        let (path, content) = (format!("/{}", text(path)?), text(content)?);
        writeln!(
            list,
            "EmbeddedFile {{ path: {path:?}, bytes: include_bytes!({content:?}), is_gzip: {is_gzip} }},",
        )
        .map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    Ok(list)
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str()
        .ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())))
}
