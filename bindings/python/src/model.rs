//! A loaded model.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use mlxm_chat::ChatModel;
use mlxm_engine::{
    ActivationDtype, CancelToken, DeviceChoice, Engine, KvCacheDtype, LoadError, LoadOptions,
};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{self, render, render_options, token_ids};
use crate::chat;
use crate::chat_stream::ChatStream;
use crate::error::{PyResultExt, invalid_option, rejected};
use crate::generation::Generation;
use crate::info::{MemoryPlan, ModelInfo};
use crate::interrupt;
use crate::locate::locate;
use crate::results::Completion;
use crate::tokenizer::{self, Tokenizer};

/// A language model. Safe to use from several threads.
#[pyclass(frozen, module = "mlxm")]
pub struct Model {
    /// `None` after `close`.
    model: RwLock<Option<ChatModel>>,
}

impl Model {
    fn chat_model(&self) -> PyResult<ChatModel> {
        let model = self.model.read().unwrap_or_else(PoisonError::into_inner);
        model.clone().ok_or_else(|| rejected("the model is closed"))
    }

    fn engine(&self) -> PyResult<Engine> {
        Ok(self.chat_model()?.engine().clone())
    }

    fn submit(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(Generation, bool)> {
        let model = self.chat_model()?;
        let request = arguments::request(&model, prompt, options)?;
        let with_logprobs = request.sampling.logprobs.is_some();
        Ok((
            Generation::new(py.detach(|| model.engine().submit(request)).py()?),
            with_logprobs,
        ))
    }
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (
        path_or_id, activation_dtype = "int8", threads = None, context_length = None, *,
        device = "auto", kv_cache_dtype = None, max_sequences = 1, memory_bytes = None, revision = None, pull = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        path_or_id: PathBuf,
        activation_dtype: &str,
        threads: Option<usize>,
        context_length: Option<usize>,
        device: &str,
        kv_cache_dtype: Option<&str>,
        max_sequences: usize,
        memory_bytes: Option<u64>,
        revision: Option<&str>,
        pull: bool,
    ) -> PyResult<Self> {
        let options = LoadOptions {
            device: device.parse::<DeviceChoice>().map_err(invalid_option)?,
            activation_dtype: activation_dtype
                .parse::<ActivationDtype>()
                .map_err(invalid_option)?,
            kv_cache_dtype: kv_cache_dtype
                .map(str::parse::<KvCacheDtype>)
                .transpose()
                .map_err(invalid_option)?,
            threads,
            context_length,
            max_sequences,
            memory_bytes,
            ..LoadOptions::default()
        };
        let path = locate(py, &path_or_id, revision, pull)?;
        let cancel = CancelToken::default();
        let load = {
            let cancel = cancel.clone();
            move || -> Result<ChatModel, LoadError> {
                let engine = Engine::load_cancellable(&path, &options, &cancel)?;
                Ok(ChatModel::from_engine(&engine))
            }
        };
        let model = interrupt::run(py, load, || cancel.cancel())?.py()?;
        Ok(Self {
            model: RwLock::new(Some(model)),
        })
    }

    /// Logits of all positions, [tokens, vocabulary].
    #[pyo3(signature = (ids, chunk = None))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        chunk: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let engine = self.engine()?;
        let ids = token_ids(ids)?;
        let logits = interrupt::wait(py, engine.submit_logits(&ids, chunk).py()?)?;
        logits
            .values
            .into_pyarray(py)
            .reshape([logits.rows, logits.vocab_size])
    }

    /// Natural logarithm of the probability of each token after those before it: one fewer than there are tokens.
    fn token_logprobs<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, numpy::PyArray1<f32>>> {
        let engine = self.engine()?;
        let ids = token_ids(ids)?;
        let logprobs = interrupt::wait(py, engine.submit_token_logprobs(&ids).py()?)?;
        Ok(logprobs.into_pyarray(py))
    }

    #[pyo3(signature = (prompt, **options), text_signature = "($self, prompt, *, max_tokens=None, temperature=None, \
top_k=None, top_p=None, min_p=None, repetition_penalty=None, repetition_context=None, presence_penalty=None, \
frequency_penalty=None, logit_bias=None, seed=None, stop=None, logprobs=None, ignore_eos=False, tools=None, \
chat_template_kwargs=None)")]
    fn generate(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Completion> {
        let (generation, with_logprobs) = self.submit(py, prompt, options)?;
        generation.collect(py, with_logprobs)
    }

    #[pyo3(signature = (prompt, **options), text_signature = "($self, prompt, *, max_tokens=None, temperature=None, \
top_k=None, top_p=None, min_p=None, repetition_penalty=None, repetition_context=None, presence_penalty=None, \
frequency_penalty=None, logit_bias=None, seed=None, stop=None, logprobs=None, ignore_eos=False, tools=None, \
chat_template_kwargs=None)")]
    fn stream(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        Ok(self.submit(py, prompt, options)?.0)
    }

    #[pyo3(signature = (messages, tools = None, tool_choice = None, response_format = None, stream = false, **options), text_signature = "($self, messages, tools=None, tool_choice=None, response_format=None, stream=False, *, max_tokens=None, temperature=None, top_k=None, \
top_p=None, min_p=None, repetition_penalty=None, repetition_context=None, presence_penalty=None, frequency_penalty=None, \
logit_bias=None, seed=None, stop=None, logprobs=None, ignore_eos=False, thinking_budget=None, parallel_tool_calls=True, \
continue_final_message=False, chat_template_kwargs=None)")]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn chat<'py>(
        &self,
        py: Python<'py>,
        messages: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        tool_choice: Option<&Bound<'py, PyAny>>,
        response_format: Option<&Bound<'py, PyAny>>,
        stream: bool,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let model = self.chat_model()?;
        let request = chat::request(messages, tools, tool_choice, response_format, options)?;
        let with_logprobs = request.params.logprobs.is_some();
        let running = ChatStream::start(py, model, request)?;
        if stream {
            return Ok(running.into_pyobject(py)?.into_any());
        }
        let completion = running.collect(py, with_logprobs)?;
        Ok(completion.into_pyobject(py)?.into_any())
    }

    #[pyo3(signature = (messages, tools = None, add_generation_prompt = true, tokenize = true, **variables))]
    fn apply_chat_template<'py>(
        &self,
        py: Python<'py>,
        messages: &Bound<'py, PyAny>,
        tools: Option<&Bound<'py, PyAny>>,
        add_generation_prompt: bool,
        tokenize: bool,
        variables: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let model = self.chat_model()?;
        let text = render(
            &model,
            messages,
            &render_options(tools, add_generation_prompt, variables)?,
        )?;
        if tokenize {
            tokenizer::encode(py, model.engine().tokenizer(), text, false)?.into_pyobject(py)
        } else {
            Ok(text.into_pyobject(py)?.into_any())
        }
    }

    #[getter]
    fn tokenizer(&self) -> PyResult<Tokenizer> {
        let engine = self.engine()?;
        Ok(Tokenizer::new(
            engine.tokenizer().clone(),
            engine.info().eos_token_ids.clone(),
        ))
    }

    #[getter]
    fn info(&self) -> PyResult<ModelInfo> {
        Ok(ModelInfo::new(&self.chat_model()?))
    }

    #[getter]
    fn memory_plan(&self) -> PyResult<MemoryPlan> {
        Ok(MemoryPlan::new(self.engine()?.memory_plan()))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.model
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// Releases the model; its memory is freed after running generations have ended.
    fn close(&self, py: Python<'_>) {
        let model = self
            .model
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        py.detach(|| drop(model));
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        match self.engine() {
            Ok(engine) => format!("Model({:?})", engine.info().path.display().to_string()),
            Err(_) => "Model(closed)".to_owned(),
        }
    }
}
