//! The tokenizer of a model.

use pyo3::prelude::*;

use crate::error::PyResultExt;
use crate::interrupt;

/// Texts up to this size are encoded within milliseconds.
const SHORT_TEXT_BYTES: usize = 1 << 16;

/// The tokens of `text`. Long texts can be interrupted.
pub fn encode(
    py: Python<'_>,
    tokenizer: &mlxm_engine::text::Tokenizer,
    text: String,
    add_special_tokens: bool,
) -> PyResult<Vec<u32>> {
    if text.len() <= SHORT_TEXT_BYTES {
        return py
            .detach(|| tokenizer.encode(&text, add_special_tokens))
            .py();
    }
    let tokenizer = tokenizer.clone();
    let work = move || tokenizer.encode(&text, add_special_tokens);
    interrupt::run(py, work, || {})?.py()
}

/// Encodes text to token ids and decodes them.
#[pyclass(frozen, module = "mlxm")]
pub struct Tokenizer {
    tokenizer: mlxm_engine::text::Tokenizer,
    eos_token_ids: Vec<u32>,
}

impl Tokenizer {
    pub fn new(tokenizer: mlxm_engine::text::Tokenizer, eos_token_ids: Vec<u32>) -> Self {
        Self {
            tokenizer,
            eos_token_ids,
        }
    }
}

#[pymethods]
impl Tokenizer {
    #[pyo3(signature = (text, *, add_special_tokens = true))]
    fn encode(&self, py: Python<'_>, text: String, add_special_tokens: bool) -> PyResult<Vec<u32>> {
        encode(py, &self.tokenizer, text, add_special_tokens)
    }

    #[pyo3(signature = (ids, *, skip_special_tokens = false))]
    fn decode(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        skip_special_tokens: bool,
    ) -> PyResult<String> {
        let ids = crate::arguments::token_ids(ids)?;
        Ok(py.detach(|| self.tokenizer.decode(&ids, skip_special_tokens)))
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    #[getter]
    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    #[getter]
    fn bos_token_id(&self) -> Option<u32> {
        self.tokenizer.bos_id()
    }

    #[getter]
    fn eos_token_id(&self) -> Option<u32> {
        self.tokenizer.eos_id()
    }

    /// All end-of-sequence ids, including those of the checkpoint's configuration.
    #[getter]
    fn eos_token_ids(&self) -> Vec<u32> {
        self.eos_token_ids.clone()
    }

    fn __len__(&self) -> usize {
        self.tokenizer.vocab_size()
    }
}
