//! The files of a checkpoint. All but one are those of a valid checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mlxm_engine::text::Tokenizer;
use mlxm_engine::{LoadOptions, inspect};
use tempfile::TempDir;

use super::Subject;

/// Checkpoints of the engine's tests.
const CHECKPOINTS: [&str; 4] = [
    "llama-4bit",
    "gemma3-window-8",
    "phi3-longrope",
    "qwen3-6bit-mixed",
];

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// Text with special tokens, several scripts and control characters.
const TEXT: &str = "Hello, wörld 123 \u{1f980}\u{0}\r\n<|im_start|>\u{200d}\u{301} 日本語   x";

fn directory(checkpoint: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(checkpoint)
}

/// The file `name` of a checkpoint. Only of the first, because the other files must fit it, unless it is a tokenizer.
pub(super) fn seeds(name: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let checkpoints = if name == "tokenizer.json" {
        &CHECKPOINTS[..]
    } else {
        &CHECKPOINTS[..1]
    };
    checkpoints
        .iter()
        .map(|checkpoint| read(&directory(checkpoint).join(name)))
        .collect()
}

/// Loads the first checkpoint with another file `name`, without its weights.
pub(super) fn load_with(name: &'static str) -> anyhow::Result<Subject> {
    let folder = tempfile::tempdir()?;
    for file in FILES {
        fs::write(
            folder.path().join(file),
            read(&directory(CHECKPOINTS[0]).join(file))?,
        )?;
    }
    Ok(Box::new(move |input| {
        replace(&folder, name, input)?;
        Ok(inspect(folder.path(), &LoadOptions::default()).is_ok())
    }))
}

/// Encodes and decodes with another tokenizer.
pub(super) fn tokenize_with() -> anyhow::Result<Subject> {
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move |input| {
        replace(&folder, "tokenizer.json", input)?;
        let Ok(tokenizer) = Tokenizer::from_dir(folder.path()) else {
            return Ok(false);
        };
        let ids = tokenizer.encode(TEXT, true).unwrap_or_default();
        let mut detokenizer = tokenizer.detokenizer(false);
        for id in (0..300).chain(ids.iter().copied()).chain([u32::MAX]) {
            let _ = tokenizer.id_to_token(id);
            let _ = tokenizer.token_bytes(id);
            let _ = detokenizer.push(id);
        }
        let _ = tokenizer.decode(&ids, true);
        Ok(true)
    }))
}

/// Writes a new file, because the old one may still be mapped.
fn replace(folder: &TempDir, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = folder.path().join(name);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    Ok(fs::write(&path, content)?)
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
