//! A model's tokens as text: what every grammar of that model is matched against.

use std::sync::Arc;

use llguidance::ParserFactory;
use mlxm_engine::text::Tokenizer;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// Longer tokens are runs of one character; the trie has room for 1024 bytes.
const LONGEST_TOKEN_BYTES: usize = 1000;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenText {
    /// Bytes of text, not necessarily whole characters.
    Bytes(Vec<u8>),
    /// Nothing that is text, but something that a grammar may ask for by this name.
    Special(String),
    /// Nothing: a row of the logits without a token, or a token that must not be said.
    Unused,
}

/// The tokens of a model in a trie. Clones share it.
#[derive(Clone)]
pub struct Vocabulary {
    shared: Arc<Shared>,
}

struct Shared {
    factory: ParserFactory,
    size: usize,
    drops_leading_space: bool,
}

impl Vocabulary {
    /// Takes the text of all tokens in the order of their ids. `end` are those that end an answer.
    ///
    /// # Errors
    /// When none of `end` is in the vocabulary, or there are more tokens than a trie can hold.
    pub fn new(
        tokens: impl IntoIterator<Item = TokenText>,
        end: &[u32],
    ) -> Result<Self, GrammarError> {
        Self::build(tokens, end, false)
    }

    /// Takes the tokens of a model with `vocab_size` logits from its tokenizer.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the tokenizer's tokens have no text of their own.
    pub fn from_tokenizer(
        tokenizer: &Tokenizer,
        vocab_size: usize,
        end: &[u32],
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
        Self::build(tokens, end, tokenizer.drops_leading_space())
    }

    fn build(
        tokens: impl IntoIterator<Item = TokenText>,
        end: &[u32],
        drops_leading_space: bool,
    ) -> Result<Self, GrammarError> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for (token, id) in tokens.into_iter().zip(0u32..) {
            let ends = end.contains(&id);
            words.push(match token {
                // No text has this byte, and the trie marks special tokens with it.
                TokenText::Bytes(bytes)
                    if ends
                        || bytes.len() > LONGEST_TOKEN_BYTES
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
        let end: Vec<u32> = end
            .iter()
            .copied()
            .filter(|&id| (id as usize) < words.len())
            .collect();
        let first_end = *end.first().ok_or(GrammarError::NoEnd)?;
        if words.len() > limits::VOCABULARY {
            return Err(GrammarError::Vocabulary(format!(
                "it has {} tokens, and {} can be handled",
                words.len(),
                limits::VOCABULARY
            )));
        }
        let info = TokRxInfo::new(words.len() as u32, first_end);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&end);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| GrammarError::Vocabulary(error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = limits::parser();
        Ok(Self {
            shared: Arc::new(Shared {
                factory,
                size: words.len(),
                drops_leading_space,
            }),
        })
    }

    /// Number of tokens, those without text included.
    pub fn size(&self) -> usize {
        self.shared.size
    }

    /// Whether the text of an answer loses the space that its tokens begin with.
    pub(crate) fn drops_leading_space(&self) -> bool {
        self.shared.drops_leading_space
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
