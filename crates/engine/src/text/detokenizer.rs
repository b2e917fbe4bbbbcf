//! Text out of a stream of token ids, as soon as it is certain.

use super::decoding::Pipeline;
use super::tokenizer::{Shown, Tokenizer};

/// Decodes one stream of token ids.
///
/// The pieces that [`push`](Self::push) returns, followed by [`finish`](Self::finish), are together exactly what
/// [`Tokenizer::decode`] makes of all ids that are shown. A piece never ends inside a character: bytes that may still become one are held
/// back. The work per token does not depend on how many came before.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    shown: Shown,
    mode: Mode,
}

#[derive(Debug, Clone)]
enum Mode {
    Streaming(Pipeline),
    /// For decoders whose output for the first token depends on the last: nothing is certain before the end.
    Whole(Vec<u32>),
}

impl Detokenizer {
    pub(super) fn new(tokenizer: Tokenizer, shown: Shown) -> Self {
        let mode = tokenizer
            .pipeline()
            .map_or_else(|| Mode::Whole(Vec::new()), Mode::Streaming);
        Self {
            tokenizer,
            shown,
            mode,
        }
    }

    /// Takes the next token and returns the text that is now certain, often empty.
    pub fn push(&mut self, id: u32) -> String {
        match &mut self.mode {
            Mode::Streaming(pipeline) => match self.tokenizer.shown_token(id, &self.shown) {
                Some(token) => pipeline.push(token),
                None => String::new(),
            },
            Mode::Whole(ids) => {
                ids.push(id);
                String::new()
            }
        }
    }

    /// Ends the stream and returns what was held back. The detokenizer is then as new.
    pub fn finish(&mut self) -> String {
        let fresh = Self::new(self.tokenizer.clone(), self.shown.clone());
        match std::mem::replace(self, fresh).mode {
            Mode::Streaming(pipeline) => pipeline.finish(),
            Mode::Whole(ids) => self.tokenizer.decode_shown(&ids, &self.shown),
        }
    }
}
