//! The bytes of single tokens. A token need not be valid UTF-8.

use tokenizers::decoders::DecoderWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

use super::{
    Fusion, Pipeline, TextStage, TokenStage, append_token_bytes, decode_chain, fallback_byte,
};

impl Pipeline {
    /// The bytes that `token` appends to a non-empty text; `None` if they depend on the adjacent tokens.
    pub(in crate::text) fn token_bytes(&self, token: String) -> Option<Vec<u8>> {
        let mut tokens = vec![token];
        for stage in &self.token_stages {
            let mut next = Vec::with_capacity(tokens.len());
            for token in tokens {
                match stage {
                    TokenStage::ByteFallback { .. } => match fallback_byte(&token) {
                        Some(byte) => return self.preserves_bytes().then(|| vec![byte]),
                        None => next.push(token),
                    },
                    // With an empty token before it, the token is not the first.
                    TokenStage::FirstTokenDiffers { decoder, .. } => {
                        next.extend(decode_chain(decoder, vec![String::new(), token]).pop());
                    }
                    TokenStage::PerToken(decoder) => {
                        next.append(&mut decode_chain(decoder, vec![token]));
                    }
                    TokenStage::JoinWithSpaces { .. } => next.push(format!(" {token}")),
                    TokenStage::LastTokenDiffers { .. } | TokenStage::Deduplicate { .. } => {
                        return None;
                    }
                }
            }
            tokens = next;
        }
        if let Fusion::Bytes(_) = self.fusion {
            let mut bytes = Vec::new();
            for token in tokens {
                append_token_bytes(&token, &mut bytes);
            }
            return self.text_stages.is_empty().then_some(bytes);
        }
        let mut text = tokens.concat();
        for stage in &self.text_stages {
            match stage {
                TextStage::StripStart {
                    content: ' ',
                    remaining: 1,
                } => {}
                // A single character is never divided between two tokens.
                TextStage::Replace { from, to, .. } if from.chars().count() == 1 => {
                    text = text.replace(from, to);
                }
                _ => return None,
            }
        }
        Some(text.into_bytes())
    }

    /// Whether decoding removes a leading space of a text.
    pub(in crate::text) fn drops_leading_space(&self) -> bool {
        let by_stage = self.token_stages.iter().any(|stage| match stage {
            TokenStage::FirstTokenDiffers { decoder, .. } => match decoder {
                DecoderWrapper::Metaspace(metaspace) => {
                    metaspace.get_prepend_scheme() != PrependScheme::Never
                }
                _ => true,
            },
            TokenStage::JoinWithSpaces { .. } => true,
            _ => false,
        });
        let by_strip = |stage: &TextStage| matches!(stage, TextStage::StripStart { .. });
        by_stage || self.text_stages.iter().any(by_strip)
    }

    /// Whether single bytes are unchanged by later steps. A replacement could change a character that several bytes form.
    fn preserves_bytes(&self) -> bool {
        let replaces = |stage: &TextStage| matches!(stage, TextStage::Replace { .. });
        !self.text_stages.iter().any(replaces)
    }
}
