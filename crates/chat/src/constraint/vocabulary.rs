//! The tokens of a model as text.

use std::sync::Arc;

use llguidance::ParserFactory;
use mlxm_engine::text::Tokenizer;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::constraint::error::GrammarError;
use crate::constraint::limits;
use crate::constraint::number_limit::NumberTokens;

/// The trie is limited to 1024 bytes. Longer tokens repeat a single character and can be left out.
const MAX_TOKEN_BYTES: usize = 1000;

/// The text of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenText {
    /// Bytes, not necessarily complete characters.
    Bytes(Vec<u8>),
    /// A special token, to which grammars refer by this name.
    Special(String),
    /// Not a token, or a token that is never generated.
    Unused,
}

/// The tokens of a model in a trie. Clones share it.
#[derive(Clone)]
pub struct Vocabulary {
    shared: Arc<Shared>,
}

struct Shared {
    factory: ParserFactory,
    environment: TokEnv,
    numbers: NumberTokens,
    size: usize,
    drops_leading_space: bool,
}

impl Vocabulary {
    /// `tokens` are in the order of their ids.
    ///
    /// # Errors
    /// If none of `eos_token_ids` is in the vocabulary, or there are more tokens than the trie can hold.
    pub fn new(
        tokens: impl IntoIterator<Item = TokenText>,
        eos_token_ids: &[u32],
    ) -> Result<Self, GrammarError> {
        Self::build(tokens, eos_token_ids, false)
    }

    /// The vocabulary of a model with `vocab_size` logits.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the text of tokens depends on the tokens next to them.
    pub fn from_tokenizer(
        tokenizer: &Tokenizer,
        vocab_size: usize,
        eos_token_ids: &[u32],
    ) -> Result<Self, GrammarError> {
        let mut any_text = false;
        let text = |id| {
            if tokenizer.is_special(id) {
                let name = tokenizer.id_to_token(id);
                return name.map_or(TokenText::Unused, TokenText::Special);
            }
            match tokenizer.token_bytes(id) {
                Some(bytes) => {
                    any_text = true;
                    TokenText::Bytes(bytes)
                }
                None => TokenText::Unused,
            }
        };
        let tokens: Vec<TokenText> = (0..vocab_size as u32).map(text).collect();
        if !any_text {
            return Err(GrammarError::NoTokenText);
        }
        Self::build(tokens, eos_token_ids, tokenizer.drops_leading_space())
    }

    fn build(
        tokens: impl IntoIterator<Item = TokenText>,
        eos_token_ids: &[u32],
        drops_leading_space: bool,
    ) -> Result<Self, GrammarError> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for (token, id) in tokens.into_iter().zip(0u32..) {
            let is_eos = eos_token_ids.contains(&id);
            words.push(match token {
                // UTF-8 text does not contain this byte; the trie uses it for special tokens.
                TokenText::Bytes(bytes)
                    if is_eos
                        || bytes.len() > MAX_TOKEN_BYTES
                        || bytes.contains(&TokTrie::SPECIAL_TOKEN_MARKER) =>
                {
                    Vec::new()
                }
                TokenText::Bytes(bytes) => bytes,
                TokenText::Special(name) => {
                    let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                    word.extend_from_slice(name.as_bytes());
                    word
                }
                TokenText::Unused => Vec::new(),
            });
        }
        let eos_token_ids: Vec<u32> = eos_token_ids
            .iter()
            .copied()
            .filter(|&id| (id as usize) < words.len())
            .collect();
        let eos = *eos_token_ids.first().ok_or(GrammarError::NoEosToken)?;
        if words.len() > limits::VOCABULARY {
            return Err(GrammarError::Vocabulary(format!(
                "it has {} tokens, and the limit is {}",
                words.len(),
                limits::VOCABULARY
            )));
        }
        let info = TokRxInfo::new(words.len() as u32, eos);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&eos_token_ids);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| GrammarError::Vocabulary(error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = limits::parser();
        let numbers = NumberTokens::new(environment.tok_trie());
        Ok(Self {
            shared: Arc::new(Shared {
                factory,
                environment,
                numbers,
                size: words.len(),
                drops_leading_space,
            }),
        })
    }

    /// Number of tokens, including those without text.
    pub fn size(&self) -> usize {
        self.shared.size
    }

    /// Whether decoding removes a space at the start of the text.
    pub(crate) fn drops_leading_space(&self) -> bool {
        self.shared.drops_leading_space
    }

    /// The tokens that may continue a number.
    pub(crate) fn numbers(&self) -> &NumberTokens {
        &self.shared.numbers
    }

    /// The text of a token; of a special token, its marked name.
    pub(crate) fn token_text(&self, token: u32) -> &[u8] {
        self.shared.environment.tok_trie().token(token)
    }

    pub(crate) fn factory(&self) -> &ParserFactory {
        &self.shared.factory
    }
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Vocabulary")
            .field("size", &self.shared.size)
            .finish_non_exhaustive()
    }
}
