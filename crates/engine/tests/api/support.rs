//! Helpers of the integration tests.

use std::path::{Path, PathBuf};

use mlxm_engine::{Engine, Event, Finished, LoadOptions, Request};

/// The committed checkpoint called `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// All committed checkpoints.
pub fn all_golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").exists())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Options with one thread, because tests run in parallel.
pub fn options() -> LoadOptions {
    LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    }
}

/// A collected completion.
#[derive(Debug, PartialEq)]
pub struct Completion {
    pub tokens: Vec<u32>,
    pub text: String,
    pub finished: Finished,
}

/// Runs a request and collects its completion.
pub fn complete(engine: &Engine, request: Request) -> Completion {
    collect(engine.submit(request).unwrap())
}

/// Collects all events of a generation.
pub fn collect(generation: mlxm_engine::Generation) -> Completion {
    let (mut tokens, mut text) = (Vec::new(), String::new());
    for event in generation {
        match event.unwrap() {
            Event::Prefill(_) | Event::Started(_) => {}
            Event::Token(token) => {
                tokens.push(token.id);
                text.push_str(&token.text);
            }
            Event::Finished(finished) => {
                text.push_str(&finished.text);
                return Completion {
                    tokens,
                    text,
                    finished,
                };
            }
        }
    }
    panic!("the generation ended without `Finished`");
}

/// Pseudorandom token ids.
pub fn prompt(seed: u64, len: usize, vocab_size: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % vocab_size as u64) as u32
        })
        .collect()
}
