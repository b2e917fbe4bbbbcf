//! A checkpoint's tokenizer, read from its directory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, ModelWrapper};

use super::decoding::{self, Pipeline};
use super::detokenizer::Detokenizer;
use super::special_tokens::{self, SpecialTokens};

/// Why a tokenizer could not be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The directory has no tokenizer.json.
    #[error(
        "no tokenizer.json in {}: {found}. mlxm reads the fast tokenizer format only; save one with \
         `AutoTokenizer.from_pretrained(...).save_pretrained(...)` of transformers, or use a converted repository",
        directory.display()
    )]
    Missing {
        /// The directory looked into.
        directory: PathBuf,
        /// What is there instead, for the person to act on.
        found: String,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name promises: truncated, not JSON, or of an unknown layout.
    #[error("{} is not valid: {reason}. The download may be incomplete; fetch the file again", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The text cannot be expressed in this vocabulary.
    #[error("cannot encode the text: {0}")]
    Encode(String),
}

/// Turns text into token ids and back, as `transformers` does with the same files. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

/// Which tokens appear in text.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// All.
    All,
    /// Of the special ones, only these.
    Special(Arc<[u32]>),
}

impl Shown {
    fn new(skip_special: bool) -> Self {
        if skip_special {
            Self::Special(Arc::default())
        } else {
            Self::All
        }
    }
}

struct Inner {
    backend: tokenizers::Tokenizer,
    special_tokens: SpecialTokens,
    special_ids: HashSet<u32>,
    cleans_up_spaces: bool,
    pipeline: Option<Pipeline>,
}

impl Tokenizer {
    /// Reads tokenizer.json, tokenizer_config.json and special_tokens_map.json of a checkpoint directory.
    ///
    /// Only the first is required. What the other two say about added tokens wins over the first, as in
    /// `transformers`; their `add_bos_token` and `add_eos_token` do not: the post-processor of tokenizer.json decides
    /// what `encode` adds.
    ///
    /// # Errors
    /// [`TokenizerError::Missing`] names what the directory has instead; [`TokenizerError::Invalid`] names the file.
    pub fn from_dir(directory: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let directory = directory.as_ref();
        let path = directory.join("tokenizer.json");
        if !path.is_file() {
            return Err(TokenizerError::Missing {
                directory: directory.to_owned(),
                found: describe_alternatives(directory),
            });
        }
        let bytes = read(&path)?;
        let backend =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| TokenizerError::Invalid {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        let config = read_object(&directory.join("tokenizer_config.json"))?;
        let special_tokens_map = read_object(&directory.join("special_tokens_map.json"))?;
        Self::build(backend, &config, &special_tokens_map)
            .map_err(|reason| TokenizerError::Invalid { path, reason })
    }

    /// Wraps a tokenizer that is already in memory; `config` is what tokenizer_config.json would say.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`] when an added token cannot be added.
    pub fn from_backend(
        backend: tokenizers::Tokenizer,
        config: &Map<String, Value>,
    ) -> Result<Self, TokenizerError> {
        Self::build(backend, config, &Map::new()).map_err(|reason| TokenizerError::Invalid {
            path: PathBuf::from("tokenizer.json"),
            reason,
        })
    }

    fn build(
        mut backend: tokenizers::Tokenizer,
        config: &Map<String, Value>,
        special_tokens_map: &Map<String, Value>,
    ) -> Result<Self, String> {
        // A prompt is never cut or padded behind the caller's back, whatever the file was saved with.
        backend
            .with_truncation(None)
            .map_err(|error| error.to_string())?;
        backend.with_padding(None);
        let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        backend.set_encode_special_tokens(flag("split_special_tokens"));

        backend
            .add_tokens(special_tokens::added_tokens(config))
            .map_err(|error| error.to_string())?;
        let special_tokens = SpecialTokens::from_config(config, special_tokens_map);
        let unmarked: Vec<AddedToken> = special_tokens
            .contents()
            .filter(|content| !backend.get_added_vocabulary().is_special_token(content))
            .map(|content| AddedToken::from(content, true))
            .collect();
        backend
            .add_special_tokens(unmarked)
            .map_err(|error| error.to_string())?;

        let special_ids = backend
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| id)
            .collect();
        // The clean-up was made for WordPiece; on BPE it eats spaces that belong to the text, and transformers
        // ignores the setting there unless this second one insists.
        let cleans_up_spaces = flag("clean_up_tokenization_spaces")
            && (!matches!(backend.get_model(), ModelWrapper::BPE(_))
                || flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"));
        let pipeline = Pipeline::new(backend.get_decoder(), cleans_up_spaces);
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                special_tokens,
                special_ids,
                cleans_up_spaces,
                pipeline,
            }),
        })
    }

    /// Token ids of `text`. Special tokens written out in the text become their ids.
    ///
    /// `add_special` adds what the tokenizer puts around a text of its own, such as a leading BOS. Chat templates write
    /// those themselves, so rendered chats are encoded without.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] when the vocabulary has neither the text's pieces nor an unknown token.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TokenizerError> {
        self.inner
            .backend
            .encode_fast(text, add_special)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| TokenizerError::Encode(error.to_string()))
    }

    /// Text of `ids`, without special tokens when `skip_special`. Ids outside the vocabulary are left out; bytes that
    /// are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.decode_shown(ids, &Shown::new(skip_special))
    }

    pub(super) fn decode_shown(&self, ids: &[u32], shown: &Shown) -> String {
        let tokens: Vec<String> = ids
            .iter()
            .filter_map(|&id| self.shown_token(id, shown))
            .collect();
        // Some decoders count on at least one token.
        if tokens.is_empty() {
            return String::new();
        }
        let text = decoding::decode_whole(self.inner.backend.get_decoder(), tokens);
        if self.inner.cleans_up_spaces {
            decoding::clean_up_spaces(&text)
        } else {
            text
        }
    }

    /// A decoder for one stream of ids, given one at a time.
    pub fn detokenizer(&self, skip_special: bool) -> Detokenizer {
        Detokenizer::new(self.clone(), Shown::new(skip_special))
    }

    /// A decoder for one stream of ids that leaves special tokens out, except for those in `visible`.
    pub fn detokenizer_keeping_special(&self, visible: Arc<[u32]>) -> Detokenizer {
        Detokenizer::new(self.clone(), Shown::Special(visible))
    }

    /// The id of a token by its exact spelling in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.backend.token_to_id(token)
    }

    /// The spelling in the vocabulary, not its text: `Ġthe`, `▁the`, `<0x0A>`.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.backend.id_to_token(id)
    }

    /// The bytes that a token adds to a text that has begun; they need not be whole characters. What
    /// [`decode`](Self::decode) makes of tokens is what their bytes make together, but for a space it may begin with
    /// ([`drops_leading_space`](Self::drops_leading_space)) and U+FFFD for what is not UTF-8.
    ///
    /// None outside the vocabulary, and for every token of a decoder that changes one by its neighbours.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.id_to_token(id)?;
        self.inner.pipeline.as_ref()?.token_bytes(token)
    }

    /// Whether [`decode`](Self::decode) leaves out a space at the beginning of a text.
    pub fn drops_leading_space(&self) -> bool {
        let pipeline = self.inner.pipeline.as_ref();
        pipeline.is_some_and(Pipeline::drops_leading_space)
    }

    /// The special tokens by role.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special_tokens
    }

    /// The token that begins a text.
    pub fn bos_id(&self) -> Option<u32> {
        self.role_id("bos_token")
    }

    /// The token that ends a text or a turn.
    pub fn eos_id(&self) -> Option<u32> {
        self.role_id("eos_token")
    }

    /// The token that fills up a batch.
    pub fn pad_id(&self) -> Option<u32> {
        self.role_id("pad_token")
    }

    /// The tokenizer's own end tokens. The checkpoint's configs add theirs.
    pub fn stop_ids(&self) -> Vec<u32> {
        self.eos_id().into_iter().collect()
    }

    /// Number of tokens including added ones. A model's embedding may have more rows, for padding.
    pub fn vocab_size(&self) -> usize {
        self.inner.backend.get_vocab_size(true)
    }

    /// Whether `decode` with `skip_special` leaves this token out.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.special_ids.contains(&id)
    }

    pub(super) fn shown_token(&self, id: u32, shown: &Shown) -> Option<String> {
        match shown {
            Shown::Special(visible) if self.is_special(id) && !visible.contains(&id) => None,
            _ => self.id_to_token(id),
        }
    }

    pub(super) fn pipeline(&self) -> Option<Pipeline> {
        self.inner.pipeline.clone()
    }

    fn role_id(&self, name: &str) -> Option<u32> {
        self.token_to_id(self.inner.special_tokens.get(name)?)
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("special_tokens", &self.inner.special_tokens)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    std::fs::read(path).map_err(|source| TokenizerError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A JSON object, or an empty one when the file is not there.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>, TokenizerError> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&read(path)?).map_err(|error| TokenizerError::Invalid {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn describe_alternatives(directory: &Path) -> String {
    const OTHER_FORMATS: [&str; 7] = [
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tekken.json",
        "tiktoken.model",
        "vocab.json",
        "vocab.txt",
    ];
    let present: Vec<&str> = OTHER_FORMATS
        .into_iter()
        .filter(|name| directory.join(name).exists())
        .collect();
    match (directory.is_dir(), present.is_empty()) {
        (false, _) => "the directory does not exist".to_owned(),
        (true, true) => "there are no tokenizer files at all".to_owned(),
        (true, false) => format!("there is only {}", present.join(" and ")),
    }
}
