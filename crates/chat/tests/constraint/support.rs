//! A model that samples uniformly, and validation of its output.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mlxm_chat::constraint::{Compiler, Matcher};
use mlxm_engine::sampling::{Acceptance, Constraint};
use mlxm_engine::text::Tokenizer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// The committed checkpoint `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(name)
}

/// Samples uniformly from the allowed tokens.
pub struct RandomModel {
    pub compiler: Compiler,
    tokenizer: Tokenizer,
    vocab_size: usize,
    eos_token_ids: Vec<u32>,
    /// The tokens of single bytes.
    bytes: [Option<u32>; 256],
}

impl RandomModel {
    /// The vocabulary is padded, as that of some models.
    pub fn new(tokenizer: Tokenizer, eos_token_ids: Vec<u32>) -> Self {
        let vocab_size = tokenizer.vocab_size() + 7;
        let mut bytes = [None; 256];
        for token in 0..vocab_size as u32 {
            if let Some([byte]) = tokenizer.token_bytes(token).as_deref() {
                bytes[*byte as usize] = Some(token);
            }
        }
        Self {
            bytes,
            compiler: Compiler::new(tokenizer.clone(), vocab_size, eos_token_ids.clone()),
            tokenizer,
            vocab_size,
            eos_token_ids,
        }
    }

    /// Samples until the end of the output; `None` if it is not complete after `max_tokens`.
    ///
    /// Closing quotes and brackets have a higher probability, because few samples would be complete otherwise.
    pub fn sample(&self, matcher: &Matcher, seed: u64, max_tokens: usize) -> Option<String> {
        self.sample_ending(matcher, seed, max_tokens, &[])
    }

    /// As [`sample`](Self::sample), with a higher probability of these delimiters, which end free text.
    pub fn sample_ending(
        &self,
        matcher: &Matcher,
        seed: u64,
        max_tokens: usize,
        delimiters: &[&str],
    ) -> Option<String> {
        let mut text = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |from: &[u32]| from[(random.next_u64() % from.len() as u64) as usize];
        let mut matcher = matcher.fork();
        let mut tokens = Vec::new();
        let closing = ["\"", "}", "]"].map(|token| self.tokenizer.token_to_id(token).unwrap());
        for _ in 0..max_tokens {
            let mut logits = vec![0.0; self.vocab_size];
            matcher.mask(&mut logits).unwrap();
            let allowed = (0u32..).zip(&logits).filter(|(_, logit)| **logit == 0.0);
            let allowed: Vec<u32> = allowed.map(|(token, _)| token).collect();
            let among = |tokens: &[u32]| -> Vec<u32> {
                let allowed = allowed.iter().copied();
                allowed.filter(|token| tokens.contains(token)).collect()
            };
            let (ends, closes) = (among(&self.eos_token_ids), among(&closing));
            // A partial delimiter is completed.
            let candidates = delimiters
                .iter()
                .filter_map(|delimiter| self.next_token(delimiter, &text));
            let (partial, new): (Vec<_>, Vec<_>) =
                candidates.partition(|(_, written)| *written > 1);
            let candidates = if partial.is_empty() {
                new
            } else {
                partial.clone()
            };
            let candidates: Vec<u32> = candidates.into_iter().map(|(token, _)| token).collect();
            let candidates = among(&candidates);
            let token = match pick(&[0, 1, 2, 3]) {
                _ if !partial.is_empty() && !candidates.is_empty() => pick(&candidates),
                0 if !candidates.is_empty() => pick(&candidates),
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

    /// Whether the grammar allows this text, byte by byte, and the end after it.
    pub fn accepts(&self, matcher: &Matcher, text: &str) -> bool {
        let mut matcher = matcher.fork();
        let mut logits = vec![0.0; self.vocab_size];
        let mut left = text.len();
        for byte in text.bytes() {
            let token = self.bytes[byte as usize].unwrap();
            logits.fill(0.0);
            matcher.mask(&mut logits).unwrap();
            if logits[token as usize] != 0.0 {
                return false;
            }
            left -= 1;
            if matcher.accept(token).unwrap() == Acceptance::Terminated {
                return left == 0;
            }
        }
        logits.fill(0.0);
        matcher.mask(&mut logits).unwrap();
        let mut ends = self.eos_token_ids.iter();
        ends.any(|&token| logits[token as usize] == 0.0)
    }

    /// The token of the next byte of `delimiter` after `text`, and the number of bytes of it that `text` ends with.
    fn next_token(&self, delimiter: &str, text: &[u8]) -> Option<(u32, usize)> {
        let delimiter = delimiter.as_bytes();
        let mut lengths = (0..delimiter.len()).rev();
        let written = lengths.find(|&length| text.ends_with(&delimiter[..length]))?;
        Some((self.bytes[delimiter[written] as usize]?, written))
    }
}

/// With the vocabulary of a committed checkpoint: all bytes, some merged tokens and special tokens.
fn byte_level() -> &'static RandomModel {
    static MODEL: OnceLock<RandomModel> = OnceLock::new();
    MODEL.get_or_init(|| {
        let tokenizer = Tokenizer::from_dir(golden("llama-4bit")).unwrap();
        RandomModel::new(tokenizer, vec![0, 2])
    })
}

pub fn compiler() -> &'static Compiler {
    &byte_level().compiler
}

pub fn sample(matcher: &Matcher, seed: u64, max_tokens: usize) -> Option<String> {
    byte_level().sample(matcher, seed, max_tokens)
}

pub fn accepts(matcher: &Matcher, text: &str) -> bool {
    byte_level().accepts(matcher, text)
}

pub fn sample_ending(
    matcher: &Matcher,
    seed: u64,
    max_tokens: usize,
    delimiters: &[&str],
) -> Option<String> {
    byte_level().sample_ending(matcher, seed, max_tokens, delimiters)
}

/// A tokenizer that is loaded from a file with this content.
pub fn written_tokenizer(name: &str, document: &Value) -> Tokenizer {
    let folder = std::env::temp_dir().join(format!("mlxm-chat-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tokenizer.json"), document.to_string()).unwrap();
    let tokenizer = Tokenizer::from_dir(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    tokenizer
}

/// Why `output` does not match `schema`. Numbers that exceed f64 are valid JSON, but cannot be validated here.
pub fn violation(schema: &Value, output: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(output) {
        Ok(value) => value,
        Err(error) if error.to_string().starts_with("number out of range") => return None,
        Err(error) => return Some(format!("{error}: {output}")),
    };
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    let error = validator.validate(&value).err()?;
    Some(format!("{error} at {}: {output}", error.instance_path()))
}
