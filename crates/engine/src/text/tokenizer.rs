//! The tokenizer of a checkpoint.

use std::collections::HashSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, ModelWrapper};

use super::decoding::{self, Pipeline};
use super::detokenizer::Detokenizer;
use super::repair;
use super::special_tokens::{self, SpecialTokens};
use crate::json;

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
        /// The directory.
        directory: PathBuf,
        /// What it has instead.
        found: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is invalid: truncated, not JSON, or of an unknown format.
    #[error("{} is not valid: {reason}. The download may be incomplete; fetch the file again", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The text cannot be encoded with this vocabulary.
    #[error("cannot encode the text: {0}")]
    Encode(String),
}

/// Converts text to token ids and back, as transformers does with the same files. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

/// Which special tokens are kept in decoded text.
#[derive(Debug, Clone)]
pub(super) enum SpecialTokenFilter {
    /// All.
    KeepAll,
    /// Only these.
    Keep(Arc<[u32]>),
}

impl SpecialTokenFilter {
    fn new(skip_special: bool) -> Self {
        if skip_special {
            Self::Keep(Arc::default())
        } else {
            Self::KeepAll
        }
    }
}

struct Inner {
    backend: tokenizers::Tokenizer,
    special_tokens: SpecialTokens,
    special_ids: HashSet<u32>,
    /// Tokens that decode to their spelling, whatever the decoder does to others.
    literal_ids: HashSet<u32>,
    cleans_up_spaces: bool,
    pipeline: Option<Pipeline>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` of a checkpoint directory.
    ///
    /// Only the first is required. As in transformers, the other two take precedence regarding added tokens. `add_bos_token` and
    /// `add_eos_token` are ignored: the post-processor of `tokenizer.json` determines which tokens `encode` adds.
    ///
    /// # Errors
    /// When a file is missing, unreadable or invalid.
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
        let backend = parse(&bytes).map_err(|reason| TokenizerError::Invalid {
            path: path.clone(),
            reason,
        })?;
        let config = read_object(&directory.join("tokenizer_config.json"))?;
        let special_tokens_map = read_object(&directory.join("special_tokens_map.json"))?;
        Self::build(backend, &config, &special_tokens_map)
            .map_err(|reason| TokenizerError::Invalid { path, reason })
    }

    /// Wraps a tokenizer of the `tokenizers` library. `config` is the content of `tokenizer_config.json`.
    ///
    /// # Errors
    /// When an added token is invalid.
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
        // Some files were saved with truncation or padding enabled, which must not apply to prompts.
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

        repair::replace_unfit_decoder(&mut backend);
        let special_ids = backend
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| id)
            .collect();
        // The cleanup is meant for WordPiece; with BPE it removes spaces of the text. As in transformers, the setting is ignored
        // for BPE unless the second one is set.
        let cleans_up_spaces = flag("clean_up_tokenization_spaces")
            && (!matches!(backend.get_model(), ModelWrapper::BPE(_))
                || flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"));
        let pipeline = Pipeline::new(backend.get_decoder(), cleans_up_spaces);
        let literal_ids = repair::literal_tokens(&backend, pipeline.as_ref());
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                special_tokens,
                special_ids,
                literal_ids,
                cleans_up_spaces,
                pipeline,
            }),
        })
    }

    /// Token ids of `text`. Special tokens in the text are encoded as such.
    ///
    /// `add_special` adds the special tokens of the post-processor, such as a leading BOS. Chat templates contain them, so
    /// rendered chats are encoded without.
    ///
    /// # Errors
    /// When the vocabulary covers the text neither with its tokens nor with an unknown token.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TokenizerError> {
        self.inner
            .backend
            .encode_fast(text, add_special)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| TokenizerError::Encode(error.to_string()))
    }

    /// Text of `ids`, without special tokens if `skip_special`. Ids outside the vocabulary are ignored; invalid UTF-8 becomes
    /// U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.decode_filtered(ids, &SpecialTokenFilter::new(skip_special))
    }

    pub(super) fn decode_filtered(&self, ids: &[u32], filter: &SpecialTokenFilter) -> String {
        if ids.iter().any(|id| self.is_literal(*id)) {
            let mut detokenizer = Detokenizer::new(self.clone(), filter.clone());
            let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
            text.push_str(&detokenizer.finish());
            return text;
        }
        let tokens: Vec<String> = ids
            .iter()
            .filter_map(|&id| self.filtered_token(id, filter))
            .collect();
        // Some decoders require at least one token.
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

    /// A decoder for a stream of ids.
    pub fn detokenizer(&self, skip_special: bool) -> Detokenizer {
        Detokenizer::new(self.clone(), SpecialTokenFilter::new(skip_special))
    }

    /// A decoder for a stream of ids that skips special tokens except those in `kept`.
    pub fn detokenizer_keeping_special(&self, kept: Arc<[u32]>) -> Detokenizer {
        Detokenizer::new(self.clone(), SpecialTokenFilter::Keep(kept))
    }

    /// The id of a token of the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.backend.token_to_id(token)
    }

    /// The token as it is spelled in the vocabulary, such as `Ġthe`, `▁the` or `<0x0A>`.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.backend.id_to_token(id)
    }

    /// The bytes that a token appends to a non-empty text; they need not be complete characters. Concatenated, they equal
    /// [`decode`](Self::decode), except for a leading space ([`drops_leading_space`](Self::drops_leading_space)) and U+FFFD for
    /// invalid UTF-8.
    ///
    /// `None` for ids outside the vocabulary, and if the decoder's output for a token depends on adjacent tokens.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.id_to_token(id)?;
        if self.is_literal(id) {
            return Some(token.into_bytes());
        }
        self.inner.pipeline.as_ref()?.token_bytes(token)
    }

    /// Whether [`decode`](Self::decode) removes a leading space.
    pub fn drops_leading_space(&self) -> bool {
        let pipeline = self.inner.pipeline.as_ref();
        pipeline.is_some_and(Pipeline::drops_leading_space)
    }

    /// The special tokens by role.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special_tokens
    }

    /// The beginning-of-sequence token.
    pub fn bos_id(&self) -> Option<u32> {
        self.role_id("bos_token")
    }

    /// The end-of-sequence token.
    pub fn eos_id(&self) -> Option<u32> {
        self.role_id("eos_token")
    }

    /// The padding token.
    pub fn pad_id(&self) -> Option<u32> {
        self.role_id("pad_token")
    }

    /// The end-of-sequence tokens of the tokenizer. The configuration of the checkpoint may have more.
    pub fn stop_ids(&self) -> Vec<u32> {
        self.eos_id().into_iter().collect()
    }

    /// Number of tokens, added ones included. The embedding table of the model may have more rows, as padding.
    pub fn vocab_size(&self) -> usize {
        self.inner.backend.get_vocab_size(true)
    }

    /// Whether the token is special, so that decoding with `skip_special` skips it.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.special_ids.contains(&id)
    }

    /// Whether the token decodes to its spelling, whatever the decoder does to others. Only with a [`pipeline`](Self::pipeline).
    pub(super) fn is_literal(&self, id: u32) -> bool {
        self.inner.literal_ids.contains(&id)
    }

    /// The spelling of a token; `None` if the filter removes it or the id is outside the vocabulary.
    pub(super) fn filtered_token(&self, id: u32, filter: &SpecialTokenFilter) -> Option<String> {
        match filter {
            SpecialTokenFilter::Keep(kept) if self.is_special(id) && !kept.contains(&id) => None,
            _ => self.id_to_token(id),
        }
    }

    pub(super) fn backend(&self) -> &tokenizers::Tokenizer {
        &self.inner.backend
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

/// Reads a JSON object; an empty one if the file does not exist.
fn read_object(path: &Path) -> Result<Map<String, Value>, TokenizerError> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    let invalid = |reason: String| TokenizerError::Invalid {
        path: path.to_owned(),
        reason,
    };
    match json::from_slice(&read(path)?).map_err(|error| invalid(error.to_string()))? {
        Value::Object(fields) => Ok(fields),
        other => Err(invalid(format!("it must hold a JSON object, not {other}"))),
    }
}

/// Parses tokenizer.json. The library panics for some invalid files, such as merges that are shorter than
/// `continuing_subword_prefix`.
fn parse(bytes: &[u8]) -> Result<tokenizers::Tokenizer, String> {
    catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes))
        .map_err(|_| "its parts contradict each other".to_owned())?
        .map_err(|error| error.to_string())
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
        (true, true) => "it has no tokenizer files".to_owned(),
        (true, false) => format!("it only has {}", present.join(" and ")),
    }
}
