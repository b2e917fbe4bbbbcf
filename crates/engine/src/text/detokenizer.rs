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

    /// Starts the stream after the text of `ids`: decoders that remove a space at the start of a text keep that of the first
    /// token.
    pub fn continue_from(&mut self, ids: &[u32]) {
        let Mode::Streaming(pipeline) = &mut self.mode else {
            return;
        };
        let tokenizer = &self.tokenizer;
        if !tokenizer.drops_leading_space() {
            return;
        }
        // A token that ends with a complete character.
        let is_complete = |id: u32| {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            !bytes.is_empty() && std::str::from_utf8(&bytes).is_ok() && !tokenizer.is_special(id)
        };
        let last = ids.iter().rev().copied().find(|id| is_complete(*id));
        let Some((id, token)) = last.and_then(|id| Some((id, tokenizer.id_to_token(id)?))) else {
            return;
        };
        if tokenizer.is_literal(id) {
            pipeline.push_literal(&token);
        } else {
            pipeline.push(token);
        }
    }

    /// Adds a token and returns the text that it completes, which may be empty.
    pub fn push(&mut self, id: u32) -> String {
        match &mut self.mode {
            Mode::Streaming(pipeline) => match self.tokenizer.filtered_token(id, &self.filter) {
                Some(token) if self.tokenizer.is_literal(id) => pipeline.push_literal(&token),
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
