//! Writes results to files, with commands that do not depend on this machine's directories.

use super::machine::Machine;
use crate::{cache, workspace};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The name of a result's files: day, machine and what was measured.
pub fn name(machine: &Machine, started: &jiff::Zoned, measured: &[&str], official: bool) -> String {
    let day = started.strftime("%Y-%m-%d").to_string();
    let machine = machine.slug();
    let mut words = vec![day.as_str(), &machine];
    words.extend(measured);
    if !official {
        words.push("unofficial");
    }
    words.join("-")
}

/// Writes a result as Markdown and as JSON into `directory`, relative to the root of the clone.
pub fn save(directory: &Path, name: &str, text: &str, results: &impl Serialize) -> Result<()> {
    let directory = workspace::root().join(directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let json = serde_json::to_string_pretty(results)? + "\n";
    for (extension, content) in [("md", text), ("json", &*json)] {
        let path = directory.join(format!("{name}.{extension}"));
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// A command without this machine's directories.
pub fn portable(command: &str) -> Result<String> {
    let cache = cache::directory()?.display().to_string();
    let root = workspace::root().display().to_string();
    Ok(command
        .replace(&cache, "$CACHE")
        .replace(&format!("{root}/"), ""))
}

/// The command line of this task, without output directory and without the path of a baseline program.
pub fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut line = "cargo xtask".to_owned();
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--results" {
            arguments.next();
        } else if !argument.starts_with("--results=") {
            line.push(' ');
            match argument.split_once("mlxm=") {
                Some((option, _)) => {
                    line.push_str(option);
                    line.push_str("mlxm=PATH");
                }
                None => line.push_str(&argument),
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_command_line_has_no_paths() {
        let words = "xtask bench --vs llama.cpp --vs mlxm=/some/mlxm --results /some/where --results=else --repeat 7";
        assert_eq!(
            command_line(words.split(' ').map(str::to_owned)),
            "cargo xtask bench --vs llama.cpp --vs mlxm=PATH --repeat 7"
        );
    }
}
