//! What is fuzzed.

mod checkpoint;
mod gguf;
mod gguf_file;
mod hub;
mod template;

use crate::mutate::{self, Mutate};

/// Parses an input as the program does. Returns whether it was accepted; an error means that the case could not be run.
pub(crate) type Subject = Box<dyn FnMut(&[u8]) -> anyhow::Result<bool>>;

/// One parser with its examples.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is parsed.
    pub about: &'static str,
    pub(crate) seeds: fn() -> anyhow::Result<Vec<Vec<u8>>>,
    pub(crate) mutate: Mutate,
    pub(crate) open: fn() -> anyhow::Result<Subject>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "safetensors",
        about: "model.safetensors of a checkpoint",
        seeds: || checkpoint::seeds("model.safetensors"),
        mutate: mutate::safetensors::mutate,
        open: || checkpoint::load_with("model.safetensors"),
    },
    Target {
        name: "config",
        about: "config.json of a checkpoint",
        seeds: || checkpoint::seeds("config.json"),
        mutate: mutate::json::mutate,
        open: || checkpoint::load_with("config.json"),
    },
    Target {
        name: "tokenizer",
        about: "tokenizer.json of a checkpoint, with text and tokens for it",
        seeds: || checkpoint::seeds("tokenizer.json"),
        mutate: mutate::json::mutate,
        open: checkpoint::tokenize_with,
    },
    Target {
        name: "template",
        about: "a chat template, with a conversation for it",
        seeds: template::seeds,
        mutate: mutate::template::mutate,
        open: || Ok(template::render_with()),
    },
    Target {
        name: "gguf",
        about: "a GGUF file that is converted",
        seeds: || Ok(gguf::seeds()),
        mutate: mutate::bytes::mutate,
        open: gguf::convert_with,
    },
    Target {
        name: "hub",
        about: "responses of a hub to a search and to the listing of a model",
        seeds: || Ok(hub::seeds()),
        mutate: mutate::responses::mutate,
        open: hub::ask_with,
    },
];

impl Target {
    /// The target with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
