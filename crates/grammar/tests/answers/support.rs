//! A model that says anything, and what its answers are held to.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mlxm_engine::sampling::{Acceptance, Constraint};
use mlxm_engine::text::Tokenizer;
use mlxm_grammar::{Compiler, Matcher};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

/// The engine's committed checkpoint called `name`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../engine/tests/golden")
        .join(name)
}

/// Grammars for the vocabulary of a committed checkpoint: all bytes, some merged, and special tokens.
pub fn compiler() -> &'static Compiler {
    static COMPILER: OnceLock<Compiler> = OnceLock::new();
    COMPILER.get_or_init(|| Compiler::new(tokenizer().clone(), VOCAB_SIZE, vec![0, 2]))
}

pub fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| Tokenizer::from_dir(golden("llama-4bit")).unwrap())
}

/// A few rows of the logits have no token, as in models whose vocabulary is padded.
const VOCAB_SIZE: usize = 280;

/// Tokens drawn from all that are allowed, until the answer ends. None when it does not within `most` tokens.
///
/// Some of the time what closes a string, an array or an object is drawn first, or few answers would ever end.
pub fn babble(matcher: &Matcher, seed: u64, most: usize) -> Option<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut matcher = matcher.fork();
    let mut tokens = Vec::new();
    let closing: Vec<u32> = ["\"", "}", "]"]
        .iter()
        .map(|token| tokenizer().token_to_id(token).unwrap())
        .collect();
    for _ in 0..most {
        let mut logits = vec![0.0; VOCAB_SIZE];
        matcher.mask(&mut logits).unwrap();
        let allowed = (0u32..).zip(&logits).filter(|(_, logit)| **logit == 0.0);
        let allowed: Vec<u32> = allowed.map(|(token, _)| token).collect();
        let mut pick = |from: &[u32]| from[(random.next_u64() % from.len() as u64) as usize];
        let ends: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|id| [0, 2].contains(id))
            .collect();
        let closes: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|id| closing.contains(id))
            .collect();
        let token = match pick(&[0, 1, 2, 3]) {
            0 if !closes.is_empty() => pick(&closes),
            0 | 1 if !ends.is_empty() => pick(&ends),
            _ => pick(&allowed),
        };
        if ends.contains(&token) {
            return Some(tokenizer().decode(&tokens, true));
        }
        tokens.push(token);
        if matcher.accept(token).unwrap() == Acceptance::Complete {
            return Some(tokenizer().decode(&tokens, true));
        }
    }
    None
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
