//! Results as files, and commands as they go on record.

use crate::{cache, workspace};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// Writes the Markdown and the JSON of a result into `directory`, which is seen from the root of the clone.
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

/// A command without the places of this machine.
pub fn portable(command: &str) -> Result<String> {
    let cache = cache::directory()?.display().to_string();
    let root = workspace::root().display().to_string();
    Ok(command
        .replace(&cache, "$CACHE")
        .replace(&format!("{root}/"), ""))
}

/// How this chore was called, without where the result went.
pub fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut line = "cargo xtask".to_owned();
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--results" {
            arguments.next();
        } else if !argument.starts_with("--results=") {
            line.push(' ');
            line.push_str(&argument);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_on_record_has_no_place_in_it() {
        let words = "xtask bench --vs llama.cpp --results /some/where --results=else --repeat 7";
        assert_eq!(
            command_line(words.split(' ').map(str::to_owned)),
            "cargo xtask bench --vs llama.cpp --repeat 7"
        );
    }
}
