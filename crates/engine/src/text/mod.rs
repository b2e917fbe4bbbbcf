//! Text in and out of the model: token ids from text, and text from token ids, whole or one token at a time.

mod decoding;
mod detokenizer;
mod special_tokens;
mod tokenizer;

pub use detokenizer::Detokenizer;
pub use special_tokens::SpecialTokens;
pub use tokenizer::{Tokenizer, TokenizerError};
