//! What a single token adds to a text, as bytes: text is only what several tokens make together.

use tokenizers::decoders::DecoderWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

use super::{
    Fusion, Pipeline, TextStage, TokenStage, append_token_bytes, decode_chain, fallback_byte,
};

impl Pipeline {
    /// The bytes that a token with this spelling adds to a text that has begun. None where that depends on the tokens
    /// around it.
    pub(in crate::text) fn token_bytes(&self, token: String) -> Option<Vec<u8>> {
        let mut tokens = vec![token];
        for stage in &self.token_stages {
            let mut next = Vec::with_capacity(tokens.len());
            for token in tokens {
                match stage {
                    TokenStage::ByteFallback { .. } => match fallback_byte(&token) {
                        Some(byte) => return self.keeps_bytes().then(|| vec![byte]),
                        None => next.push(token),
                    },
                    // Any first token puts the one of interest in second place.
                    TokenStage::FirstDiffers { decoder, .. } => {
                        next.extend(decode_chain(decoder, vec![String::new(), token]).pop());
                    }
                    TokenStage::Single(decoder) => {
                        next.append(&mut decode_chain(decoder, vec![token]));
                    }
                    TokenStage::SpaceBetween { .. } => next.push(format!(" {token}")),
                    TokenStage::LastDiffers { .. } | TokenStage::Distinct { .. } => return None,
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
                // A single character never lies across the border of two tokens.
                TextStage::Replace { from, to, .. } if from.chars().count() == 1 => {
                    text = text.replace(from, to);
                }
                _ => return None,
            }
        }
        Some(text.into_bytes())
    }

    /// Whether a text loses the space it begins with.
    pub(in crate::text) fn drops_leading_space(&self) -> bool {
        let by_stage = self.token_stages.iter().any(|stage| match stage {
            TokenStage::FirstDiffers { decoder, .. } => match decoder {
                DecoderWrapper::Metaspace(metaspace) => {
                    metaspace.get_prepend_scheme() != PrependScheme::Never
                }
                _ => true,
            },
            TokenStage::SpaceBetween { .. } => true,
            _ => false,
        });
        let by_strip = |stage: &TextStage| matches!(stage, TextStage::StripStart { .. });
        by_stage || self.text_stages.iter().any(by_strip)
    }

    /// Whether bytes that tokens spell one by one come out as they are: not if a later step would replace a character that
    /// they make together.
    fn keeps_bytes(&self) -> bool {
        let replaces = |stage: &TextStage| matches!(stage, TextStage::Replace { .. });
        !self.text_stages.iter().any(replaces)
    }
}
