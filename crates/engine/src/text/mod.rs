//! Tokenization: text to token ids, and token ids to text, at once or incrementally.

mod decoding;
mod detokenizer;
mod pieces;
mod repair;
mod special_tokens;
mod tokenizer;

pub use detokenizer::Detokenizer;
pub use pieces::{PiecePlace, TextPiece};
pub use special_tokens::SpecialTokens;
pub use tokenizer::{Tokenizer, TokenizerError};
