//! Incremental detokenization.

use super::decoding::Pipeline;
use super::tokenizer::{SpecialTokenFilter, Tokenizer};

/// Decodes a stream of token ids.
///
/// The concatenated results of [`push`](Self::push) and [`finish`](Self::finish) equal [`Tokenizer::decode`] of all ids.
/// Incomplete UTF-8 characters are held back. The work per token does not depend on the number of tokens before it.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    filter: SpecialTokenFilter,
    mode: Mode,
}

#[derive(Debug, Clone)]
enum Mode {
    Streaming(Pipeline),
    /// For decoders that need the whole sequence.
    Buffered(Vec<u32>),
}

impl Detokenizer {
    pub(super) fn new(tokenizer: Tokenizer, filter: SpecialTokenFilter) -> Self {
        let mode = tokenizer
            .pipeline()
            .map_or_else(|| Mode::Buffered(Vec::new()), Mode::Streaming);
        Self {
            tokenizer,
            filter,
            mode,
        }
    }

    /// Adds a token and returns the text that it completes, which may be empty.
    pub fn push(&mut self, id: u32) -> String {
        match &mut self.mode {
            Mode::Streaming(pipeline) => match self.tokenizer.filtered_token(id, &self.filter) {
                Some(token) => pipeline.push(token),
                None => String::new(),
            },
            Mode::Buffered(ids) => {
                ids.push(id);
                String::new()
            }
        }
    }

    /// Ends the stream, returns the text held back and resets the detokenizer.
    pub fn finish(&mut self) -> String {
        let fresh = Self::new(self.tokenizer.clone(), self.filter.clone());
        match std::mem::replace(self, fresh).mode {
            Mode::Streaming(pipeline) => pipeline.finish(),
            Mode::Buffered(ids) => self.tokenizer.decode_filtered(&ids, &self.filter),
        }
    }
}
