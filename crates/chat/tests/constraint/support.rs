//! A model that says anything, and what its answers are held to.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mlxm_chat::constraint::{Compiler, Matcher};
use mlxm_engine::sampling::{Acceptance, Constraint};
use mlxm_engine::text::Tokenizer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// The engine's committed checkpoint called `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(name)
}

/// A model without a mind: what it may say, it says with equal probability.
pub struct Babbler {
    pub compiler: Compiler,
    tokenizer: Tokenizer,
    vocab_size: usize,
    end: Vec<u32>,
    /// The tokens of single bytes.
    bytes: [Option<u32>; 256],
}

impl Babbler {
    /// With a few rows of the logits beyond the tokenizer's tokens, as in models whose vocabulary is padded.
    pub fn new(tokenizer: Tokenizer, end: Vec<u32>) -> Self {
        let vocab_size = tokenizer.vocab_size() + 7;
        let mut bytes = [None; 256];
        for token in 0..vocab_size as u32 {
            if let Some([byte]) = tokenizer.token_bytes(token).as_deref() {
                bytes[*byte as usize] = Some(token);
            }
        }
        Self {
            bytes,
            compiler: Compiler::new(tokenizer.clone(), vocab_size, end.clone()),
            tokenizer,
            vocab_size,
            end,
        }
    }

    /// Tokens drawn from all that are allowed, until the answer ends. None when it does not within `most` tokens.
    ///
    /// Some of the time what closes a string, an array or an object is drawn first, or few answers would ever end.
    pub fn answer(&self, matcher: &Matcher, seed: u64, most: usize) -> Option<String> {
        self.answer_closing(matcher, seed, most, &[])
    }

    /// As [`answer`](Self::answer), with a liking for these markers, which end free text.
    pub fn answer_closing(
        &self,
        matcher: &Matcher,
        seed: u64,
        most: usize,
        markers: &[&str],
    ) -> Option<String> {
        let mut text = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |from: &[u32]| from[(random.next_u64() % from.len() as u64) as usize];
        let mut matcher = matcher.fork();
        let mut tokens = Vec::new();
        let closing = ["\"", "}", "]"].map(|token| self.tokenizer.token_to_id(token).unwrap());
        for _ in 0..most {
            let mut logits = vec![0.0; self.vocab_size];
            matcher.mask(&mut logits).unwrap();
            let allowed = (0u32..).zip(&logits).filter(|(_, logit)| **logit == 0.0);
            let allowed: Vec<u32> = allowed.map(|(token, _)| token).collect();
            let among = |tokens: &[u32]| -> Vec<u32> {
                let allowed = allowed.iter().copied();
                allowed.filter(|token| tokens.contains(token)).collect()
            };
            let (ends, closes) = (among(&self.end), among(&closing));
            // A marker that is begun is written to its end.
            let marking = markers
                .iter()
                .filter_map(|marker| self.next_of(marker, &text));
            let (begun, fresh): (Vec<_>, Vec<_>) = marking.partition(|(_, written)| *written > 1);
            let marking = if begun.is_empty() {
                fresh
            } else {
                begun.clone()
            };
            let marking: Vec<u32> = marking.into_iter().map(|(token, _)| token).collect();
            let marking = among(&marking);
            let token = match pick(&[0, 1, 2, 3]) {
                _ if !begun.is_empty() && !marking.is_empty() => pick(&marking),
                0 if !marking.is_empty() => pick(&marking),
                0 if !closes.is_empty() => pick(&closes),
                0 | 1 if !ends.is_empty() => pick(&ends),
                _ => pick(&allowed),
            };
            if ends.contains(&token) {
                return Some(self.tokenizer.decode(&tokens, true));
            }
            tokens.push(token);
            text.extend(self.tokenizer.token_bytes(token).unwrap());
            if matcher.accept(token).unwrap() == Acceptance::Terminated {
                return Some(self.tokenizer.decode(&tokens, true));
            }
        }
        None
    }

    /// The token that writes the next byte of `marker` behind `text`, and how many bytes of it are there.
    fn next_of(&self, marker: &str, text: &[u8]) -> Option<(u32, usize)> {
        let marker = marker.as_bytes();
        let mut lengths = (0..marker.len()).rev();
        let written = lengths.find(|&length| text.ends_with(&marker[..length]))?;
        Some((self.bytes[marker[written] as usize]?, written))
    }
}

/// The vocabulary of a committed checkpoint: all bytes, some merged, and special tokens.
fn byte_level() -> &'static Babbler {
    static BABBLER: OnceLock<Babbler> = OnceLock::new();
    BABBLER.get_or_init(|| {
        let tokenizer = Tokenizer::from_dir(golden("llama-4bit")).unwrap();
        Babbler::new(tokenizer, vec![0, 2])
    })
}

pub fn compiler() -> &'static Compiler {
    &byte_level().compiler
}

pub fn babble(matcher: &Matcher, seed: u64, most: usize) -> Option<String> {
    byte_level().answer(matcher, seed, most)
}

pub fn babble_closing(
    matcher: &Matcher,
    seed: u64,
    most: usize,
    markers: &[&str],
) -> Option<String> {
    byte_level().answer_closing(matcher, seed, most, markers)
}

/// A tokenizer as it would lie in a model's folder.
pub fn written_tokenizer(name: &str, document: &Value) -> Tokenizer {
    let folder = std::env::temp_dir().join(format!("mlxm-grammar-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tokenizer.json"), document.to_string()).unwrap();
    let tokenizer = Tokenizer::from_dir(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    tokenizer
}

/// Says what is wrong with an answer to `schema`, if anything is. A number may be larger than any float; that is JSON, but
/// nothing that can be compared with a schema here.
pub fn fault(schema: &Value, answer: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(answer) {
        Ok(value) => value,
        Err(error) if error.to_string().starts_with("number out of range") => return None,
        Err(error) => return Some(format!("{error}: {answer}")),
    };
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    let error = validator.validate(&value).err()?;
    Some(format!("{error} at {}: {answer}", error.instance_path()))
}
