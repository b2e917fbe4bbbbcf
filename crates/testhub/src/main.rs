//! A test hub as a program, for tests in other languages.
//!
//! It prints `{"endpoint": URL}`, and runs until its standard input ends. Each line of the input is a JSON object with one
//! command, and gets one line of output, `{"ok": true}` or `{"error": TEXT}`:
//!
//! - `{"add": {"id": "org/name"}}` adds a model. More keys: `directory`, whose files it has; `files`, an object of names and
//!   texts; `downloads`, a number; `weights`, the number of 16-bit weights that searches show; `tags`, a list that replaces
//!   `mlx`; `gated`, which no token opens.
//! - `{"throttle": BYTES}` limits each transfer to this many bytes per second, `{"throttle": null}` to none.
//! - `{"fail_next": STATUS}` is the status of the next request for models, such as a search.
//! - `{"drop_after": {"id": "org/name", "file": "model.safetensors", "bytes": 1000}}` closes the connection of the next transfer.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::time::Duration;

use mlxm_testhub::{Fault, TestHub, TestRepo};
use serde_json::{Value, json};

/// Chunks per second of a throttled transfer.
const CHUNKS_PER_SECOND: u64 = 20;

fn main() -> io::Result<()> {
    let hub = TestHub::start();
    print(&json!({"endpoint": hub.endpoint()}))?;
    for line in io::stdin().lock().lines() {
        let reply = match execute(&hub, &line?) {
            Ok(()) => json!({"ok": true}),
            Err(error) => json!({"error": error}),
        };
        print(&reply)?;
    }
    Ok(())
}

fn print(value: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{value}")?;
    output.flush()
}

fn execute(hub: &TestHub, line: &str) -> Result<(), String> {
    let command: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let (name, value) = command
        .as_object()
        .and_then(|command| command.iter().next())
        .ok_or("a command is an object with one key")?;
    match name.as_str() {
        "add" => {
            hub.add(repository(value)?);
        }
        "throttle" => match value.as_u64() {
            Some(bytes) => {
                let chunk = usize::try_from(bytes / CHUNKS_PER_SECOND).unwrap_or(usize::MAX);
                let pause = Duration::from_millis(1000 / CHUNKS_PER_SECOND);
                hub.throttle(chunk.max(1), pause);
            }
            None => hub.unthrottle(),
        },
        "fail_next" => {
            let status = value.as_u64().and_then(|status| status.try_into().ok());
            hub.fail_next_api_request(status.ok_or("fail_next is a status")?, None);
        }
        "drop_after" => {
            let bytes = value["bytes"].as_u64().ok_or("bytes is a number")?;
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            hub.inject(
                text(value, "id")?,
                text(value, "file")?,
                Fault::DropAfter(bytes),
            );
        }
        _ => return Err(format!("unknown command {name}")),
    }
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key]
        .as_str()
        .ok_or_else(|| format!("{key} is a text, and required"))
}

fn repository(value: &Value) -> Result<TestRepo, String> {
    let mut repo = TestRepo::new(text(value, "id")?);
    if let Some(directory) = value["directory"].as_str() {
        repo = add_directory(repo, Path::new(directory))
            .map_err(|error| format!("{directory}: {error}"))?;
    }
    if let Some(files) = value["files"].as_object() {
        for (name, content) in files {
            repo = repo.file(name, content.as_str().unwrap_or_default());
        }
    }
    if let Some(downloads) = value["downloads"].as_u64() {
        repo = repo.downloads(downloads);
    }
    if let Some(count) = value["weights"].as_u64() {
        repo = repo.weights("BF16", count);
    }
    if let Some(tags) = value["tags"].as_array() {
        let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
        repo = repo.tags(&tags);
    }
    if value["gated"] == true {
        repo = repo.gated();
    }
    Ok(repo)
}

/// Adds the files of a directory, without its subdirectories.
fn add_directory(mut repo: TestRepo, directory: &Path) -> io::Result<TestRepo> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.path().is_file() {
            continue;
        }
        let (name, content) = (entry.file_name(), fs::read(entry.path())?);
        let name = name.to_string_lossy();
        repo = if name.ends_with(".safetensors") {
            repo.large_file(&name, content)
        } else {
            repo.file(&name, content)
        };
    }
    Ok(repo)
}
