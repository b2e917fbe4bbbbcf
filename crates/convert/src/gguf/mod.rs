//! Conversion of GGUF files.
//!
//! `MXFP4` and the types that consist of affine groups of 32 values (`Q4_0`, `Q4_1`, `Q5_0`, `Q5_1`, `Q8_0`) are
//! converted without loss. `Q4_K` and `Q5_K` keep their integers; their scales, products of an f16 and a 6-bit
//! integer, are rounded to the float type of the model. The other supported types are requantized with about two more
//! bits, which keeps the additional error well below that of the original quantization.

mod architecture;
mod architecture_keys;
mod architectures;
mod blocks;
mod config;
mod cursor;
mod dimensions;
mod error;
mod gpt_keys;
mod key_names;
mod layer_keys;
mod metadata;
mod order;
mod parameters;
mod pre_tokenizer;
mod reader;
mod renamed_architectures;
mod rope;
mod rows;
mod sentencepiece;
mod tensors;
mod tokenizer;
mod types;
mod xielu;

#[cfg(test)]
mod tests;

pub use architecture::gguf_architectures;
pub use error::GgufError;

use std::path::Path;

use serde_json::json;

use self::architecture::Architecture;
use self::config::Metadata;
use self::dimensions::Dimensions;
use self::reader::Gguf;
use super::ConvertError;
use super::execute::execute;
use super::options::{ConvertOptions, ConvertReport, Progress};
use super::plan::{FileContent, Plan};
use super::safetensors::torch_dtype;

/// Converts the GGUF file `source`.
pub(super) fn convert(
    source: &Path,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    let map = reader::map(source)?;
    let gguf = Gguf::parse(&map)?;
    let plan = plan(&gguf, options)?;
    execute(plan, output, options, progress)
}

fn plan<'a>(gguf: &'a Gguf<'a>, options: &ConvertOptions) -> Result<Plan<'a>, ConvertError> {
    if let Some(parts) = gguf.optional_u64("split.count", 1 << 16)?
        && parts > 1
    {
        return Err(ConvertError::Unsupported(format!(
            "it is one of {parts} parts of a split model: merge them first (llama-gguf-split --merge)"
        )));
    }
    let metadata = Metadata {
        gguf,
        architecture: Architecture::find(gguf.str("general.architecture")?, |key| {
            gguf.get(key).is_some()
        })?,
    };
    let dimensions = Dimensions::read(&metadata)?;
    let mut config = config::config(&metadata, dimensions)?;
    let tokenizer = tokenizer::tokenizer(gguf, metadata.architecture)?;
    for (key, value) in &tokenizer.generation {
        config.insert(key.clone(), value.clone());
    }
    let float = tensors::model_float(gguf, options);
    config.insert("torch_dtype".to_owned(), json!(torch_dtype(float)));
    let tensors = tensors::plan(&metadata, dimensions, float, options)?;
    let mut notes = tensors.notes;
    notes.extend(tokenizer.notes);
    Ok(Plan {
        tensors: tensors.plans,
        config,
        quantized: tensors.quantized,
        files: vec![
            (
                "tokenizer.json".to_owned(),
                FileContent::Text(tokenizer.model.to_string()),
            ),
            (
                "tokenizer_config.json".to_owned(),
                FileContent::Json(tokenizer.config),
            ),
            (
                "generation_config.json".to_owned(),
                FileContent::Json(tokenizer.generation.into()),
            ),
        ],
        notes,
    })
}
