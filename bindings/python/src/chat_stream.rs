//! A running chat completion as a Python iterator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mlxm_chat::parsing::Part;
use mlxm_chat::{ChatModel, ChatPoll, ChatRequest};
use pyo3::prelude::*;

use crate::chat::{ChatCompletion, tool_call_id};
use crate::error::{PyResultExt, rejected};
use crate::interrupt::{self, SIGNAL_INTERVAL};
use crate::results::{RequestMetrics, TokenLogprob};

/// A chat completion while it is generated. Closing or dropping it cancels the generation.
#[pyclass(frozen, module = "mlxm")]
pub struct ChatStream {
    /// `None` after the last chunk, an error or `close`.
    stream: Mutex<Option<mlxm_chat::ChatStream>>,
}

impl ChatStream {
    /// Starts the completion.
    pub fn start(py: Python<'_>, model: ChatModel, request: ChatRequest) -> PyResult<Self> {
        // Long conversations and large schemas take time; a stream without a receiver is cancelled.
        let stream = interrupt::run(py, move || model.generate(&request), || {})?.py()?;
        Ok(Self {
            stream: Mutex::new(Some(stream)),
        })
    }

    /// Only locked without the GIL, so that threads that share this object cannot deadlock.
    fn lock(&self) -> MutexGuard<'_, Option<mlxm_chat::ChatStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next chunk, or none at the end.
    fn next_chunk(&self, py: Python<'_>) -> PyResult<Option<mlxm_chat::ChatChunk>> {
        loop {
            let poll = py.detach(|| {
                let mut stream = self.lock();
                let poll = match stream.as_mut() {
                    Some(stream) => stream.next_timeout(SIGNAL_INTERVAL),
                    None => ChatPoll::Finished,
                };
                let is_last = match &poll {
                    ChatPoll::Chunk(Ok(chunk)) => chunk.finish.is_some(),
                    ChatPoll::Chunk(Err(_)) | ChatPoll::Finished => true,
                    ChatPoll::Pending => false,
                };
                if is_last {
                    *stream = None;
                }
                poll
            });
            if let Err(interrupt) = py.check_signals() {
                self.close(py);
                return Err(interrupt);
            }
            match poll {
                ChatPoll::Chunk(chunk) => return chunk.py().map(Some),
                ChatPoll::Pending => {}
                ChatPoll::Finished => return Ok(None),
            }
        }
    }

    /// Waits for the whole completion.
    pub fn collect(&self, py: Python<'_>, with_logprobs: bool) -> PyResult<ChatCompletion> {
        let mut completion = mlxm_chat::ChatCompletion::default();
        while let Some(chunk) = self.next_chunk(py)? {
            completion.push(chunk);
        }
        ChatCompletion::new(completion, with_logprobs)
            .ok_or_else(|| rejected("the stream was closed before its end"))
    }
}

#[pymethods]
impl ChatStream {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<ChatChunk>> {
        while let Some(chunk) = self.next_chunk(py)? {
            let chunk = ChatChunk::from(chunk);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Cancels the generation.
    fn close(&self, py: Python<'_>) {
        py.detach(|| *self.lock() = None);
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }
}

/// A part of a tool call.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct ToolCallDelta {
    index: usize,
    /// In the first delta of a call.
    id: Option<String>,
    /// In the first delta of a call.
    name: Option<String>,
    /// JSON text to append.
    arguments: String,
}

#[pymethods]
impl ToolCallDelta {
    fn __repr__(&self) -> String {
        format!(
            "ToolCallDelta(index={}, name={:?}, arguments={:?})",
            self.index,
            self.name.as_deref().unwrap_or_default(),
            self.arguments
        )
    }
}

/// A chunk of a streamed chat completion.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Default)]
pub struct ChatChunk {
    content: String,
    reasoning: Option<String>,
    tool_calls: Vec<ToolCallDelta>,
    logprob: Option<TokenLogprob>,
    finish_reason: Option<&'static str>,
    stop_string: Option<String>,
    metrics: Option<RequestMetrics>,
}

impl ChatChunk {
    fn is_empty(&self) -> bool {
        self.content.is_empty()
            && self.reasoning.is_none()
            && self.tool_calls.is_empty()
            && self.logprob.is_none()
            && self.finish_reason.is_none()
    }

    fn push(&mut self, part: Part) {
        match part {
            Part::Content(text) => self.content.push_str(&text),
            Part::Reasoning(text) => self.reasoning.get_or_insert_default().push_str(&text),
            Part::ToolCall { index, name } => self.tool_calls.push(ToolCallDelta {
                index,
                id: Some(tool_call_id()),
                name: Some(name),
                arguments: String::new(),
            }),
            Part::Arguments { index, delta } => match self.tool_calls.last_mut() {
                Some(call) if call.index == index => call.arguments.push_str(&delta),
                _ => self.tool_calls.push(ToolCallDelta {
                    index,
                    id: None,
                    name: None,
                    arguments: delta,
                }),
            },
        }
    }
}

impl From<mlxm_chat::ChatChunk> for ChatChunk {
    fn from(value: mlxm_chat::ChatChunk) -> Self {
        let mut chunk = Self {
            logprob: value.logprob.map(Into::into),
            ..Self::default()
        };
        for part in value.parts {
            chunk.push(part);
        }
        if let Some(finish) = value.finish {
            chunk.finish_reason = Some(finish.reason.as_str());
            chunk.stop_string = finish.reason.stop_string().map(str::to_owned);
            chunk.metrics = Some(finish.metrics.into());
        }
        chunk
    }
}

#[pymethods]
impl ChatChunk {
    fn __repr__(&self) -> String {
        format!(
            "ChatChunk(content={:?}, reasoning={:?}, tool_calls={}, finish_reason={:?})",
            self.content,
            self.reasoning.as_deref().unwrap_or_default(),
            self.tool_calls.len(),
            self.finish_reason.unwrap_or_default()
        )
    }
}
