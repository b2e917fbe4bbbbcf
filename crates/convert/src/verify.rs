//! Checks that a written checkpoint can be loaded.

use std::path::Path;

use mlxm_engine::text::Tokenizer;
use mlxm_engine::{LoadOptions, ModelInfo, inspect};

/// Number of tokens that are decoded and encoded again.
const SAMPLED_TOKENS: usize = 256;

/// Loads the checkpoint in `directory` as the engine does, without reading its weights: every tensor of every layer has the name,
/// the type and the shape that the model needs, no tensor is left over, all of them have `parameters` values together, and the
/// tokenizer can be read. `built_tokenizer` also requires that tokens survive decoding and encoding; a copied tokenizer may be
/// lossy on purpose.
///
/// # Errors
/// The reason, with paths in `directory`.
pub(super) fn verify(
    directory: &Path,
    parameters: u64,
    built_tokenizer: bool,
) -> Result<(), String> {
    let (info, _) =
        inspect(directory, &LoadOptions::default()).map_err(|error| error.to_string())?;
    if info.parameters != parameters {
        return Err(format!(
            "the model loads {} parameters, but {parameters} are converted",
            info.parameters
        ));
    }
    if built_tokenizer {
        let tokenizer = Tokenizer::from_dir(directory).map_err(|error| error.to_string())?;
        round_trip(&tokenizer, &info)?;
    }
    Ok(())
}

/// Decodes single tokens of plain letters and digits, which no normalizer changes, and encodes the text again.
fn round_trip(tokenizer: &Tokenizer, info: &ModelInfo) -> Result<(), String> {
    let vocabulary = tokenizer.vocab_size();
    let step = vocabulary.div_ceil(SAMPLED_TOKENS).max(1);
    for id in (0..vocabulary as u32).step_by(step) {
        let token = tokenizer.decode(&[id], true);
        let text = token.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let ids = tokenizer
            .encode(text, false)
            .map_err(|error| error.to_string())?;
        if let Some(id) = ids.iter().find(|id| **id as usize >= info.vocab_size) {
            return Err(format!(
                "token {id} has no embedding: there are {}",
                info.vocab_size
            ));
        }
        let decoded = tokenizer.decode(&ids, true);
        if decoded.trim() != text {
            return Err(format!(
                "the tokenizer encodes {text:?} (token {id}) as {ids:?}, which is {decoded:?}"
            ));
        }
    }
    Ok(())
}
