//! Corrections to what the `tokenizers` library decodes.

use std::collections::HashSet;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, Tokenizer};

use super::decoding::Pipeline;

/// Replaces a decoder that does not fit the vocabulary. Some conversions of byte-level vocabularies have a decoder for
/// SentencePiece, which would print `Ġ` for a space. The encoder cannot be wrong about it: a model was trained on its tokens.
pub(super) fn replace_unfit_decoder(backend: &mut Tokenizer) {
    let encodes_bytes = backend.get_pre_tokenizer().is_some_and(pre_tokenizes_bytes)
        || backend.get_normalizer().is_some_and(normalizes_to_bytes);
    if encodes_bytes && !backend.get_decoder().is_some_and(decodes_bytes) {
        tracing::debug!(
            "the vocabulary is byte-level, but its decoder is not; a byte-level decoder is used"
        );
        backend.with_decoder(Some(ByteLevel::default()));
    }
}

fn pre_tokenizes_bytes(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(_) => true,
        PreTokenizerWrapper::Sequence(sequence) => {
            sequence.as_ref().iter().any(pre_tokenizes_bytes)
        }
        _ => false,
    }
}

fn normalizes_to_bytes(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::ByteLevel(_) => true,
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(normalizes_to_bytes),
        _ => false,
    }
}

fn decodes_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(decodes_bytes),
        _ => false,
    }
}

/// The added tokens whose text the decoder would change. Added tokens are matched in the text as they are, so they decode to
/// themselves: with a byte-level decoder, `<é>` would be an invalid byte, and with one for SentencePiece, `▁` a space.
///
/// Tokens that only get a space before them are not among them. Neither are tokens of the model's vocabulary that are marked as
/// added, such as the runs of `▁` in Gemma's, which do stand for spaces, unless they would not be text: conversions from GGUF
/// have all added tokens in the vocabulary.
pub(super) fn literal_tokens(backend: &Tokenizer, pipeline: Option<&Pipeline>) -> HashSet<u32> {
    let Some(pipeline) = pipeline else {
        return HashSet::new();
    };
    let is_byte_level = backend.get_decoder().is_some_and(decodes_bytes);
    let is_literal = |id: u32, content: &str| {
        let Some(bytes) = pipeline.token_bytes(content.to_owned()) else {
            return false;
        };
        let changed =
            bytes != content.as_bytes() && bytes.strip_prefix(b" ") != Some(content.as_bytes());
        let in_vocabulary = backend.get_model().token_to_id(content) == Some(id);
        // A single character of a byte-level vocabulary is a byte.
        let is_text =
            !is_byte_level || content.chars().count() == 1 || std::str::from_utf8(&bytes).is_ok();
        changed && !(in_vocabulary && is_text)
    };
    backend
        .get_added_tokens_decoder()
        .into_iter()
        .filter(|(id, token)| is_literal(*id, &token.content))
        .map(|(id, _)| id)
        .collect()
}
