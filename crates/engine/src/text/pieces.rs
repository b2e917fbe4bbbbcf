//! Texts in pieces whose tokens do not depend on each other, so that counts of unchanged pieces can be kept.

use tokenizers::{NormalizerWrapper, OffsetReferential, OffsetType};

use super::tokenizer::{Tokenizer, TokenizerError};

/// A part of a text: an added token, or what is between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPiece<'a> {
    /// The part.
    pub text: &'a str,
    /// Where it is.
    pub place: PiecePlace<'a>,
}

/// Where a piece of a text is, as far as its tokens depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PiecePlace<'a> {
    /// It is one added token.
    Token,
    /// It begins the text. Some tokenizers add a space there.
    Start,
    /// It follows this added token.
    After(&'a str),
}

impl Tokenizer {
    /// Cuts a text at its added tokens, such as `<|im_end|>`. The counts of the pieces ([`count_piece`](Self::count_piece)) sum
    /// up to that of [`encode`](Self::encode) without special tokens.
    ///
    /// Normalizers and pre-tokenizers see each piece on its own, so that a piece has the same tokens wherever it occurs after an
    /// added token. The text stays in one piece if that does not hold: for a vocabulary with tokens that only match as a word.
    pub fn pieces<'a>(&self, text: &'a str) -> Vec<TextPiece<'a>> {
        let whole = vec![TextPiece {
            text,
            place: PiecePlace::Start,
        }];
        let added = self.backend().get_added_vocabulary();
        let tokens = added.get_added_tokens_decoder();
        if tokens.values().any(|token| token.single_word) {
            return whole;
        }
        // Without a normalizer, offsets are those of the text.
        let split = added.extract_and_normalize::<NormalizerWrapper>(None, text);
        // Tokens that match the normalized text are found again when their piece is encoded.
        let cuts = |id: u32| tokens.get(&id).is_some_and(|token| !token.normalized);
        let mut pieces = Vec::new();
        let mut start = 0;
        let mut place = PiecePlace::Start;
        for (_, (from, to), found) in
            split.get_splits(OffsetReferential::Original, OffsetType::Byte)
        {
            let id = found.as_deref().and_then(|found| Some(found.first()?.id));
            let is_cut = id.is_some_and(cuts);
            if !is_cut {
                continue;
            }
            let (Some(before), Some(token)) = (text.get(start..from), text.get(from..to)) else {
                return whole;
            };
            if !before.is_empty() {
                pieces.push(TextPiece {
                    text: before,
                    place,
                });
            }
            pieces.push(TextPiece {
                text: token,
                place: PiecePlace::Token,
            });
            start = to;
            place = PiecePlace::After(token);
        }
        match text.get(start..) {
            Some("") => pieces,
            Some(rest) => {
                pieces.push(TextPiece { text: rest, place });
                pieces
            }
            None => whole,
        }
    }

    /// The number of tokens of a piece.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn count_piece(&self, piece: TextPiece<'_>) -> Result<usize, TokenizerError> {
        match piece.place {
            PiecePlace::Token => Ok(1),
            PiecePlace::Start => Ok(self.encode(piece.text, false)?.len()),
            PiecePlace::After(token) => {
                let text = [token, piece.text].concat();
                Ok(self.encode(&text, false)?.len().saturating_sub(1))
            }
        }
    }
}
