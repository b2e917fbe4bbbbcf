//! A running completion as a Python iterator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mlxm_engine::{Event, Finished, Poll};
use pyo3::prelude::*;

use crate::error::{PyResultExt, rejected};
use crate::interrupt::SIGNAL_INTERVAL;
use crate::results::{Completion, Piece, RequestMetrics};

/// A completion while it is generated. Iterating waits for the next piece; closing or dropping it cancels the generation.
#[pyclass(frozen, module = "mlxm")]
pub struct Generation {
    state: Mutex<State>,
}

struct State {
    /// `None` after the end, an error or `close`.
    running: Option<mlxm_engine::Generation>,
    finished: Option<Finished>,
}

impl Generation {
    pub fn new(generation: mlxm_engine::Generation) -> Self {
        Self {
            state: Mutex::new(State {
                running: Some(generation),
                finished: None,
            }),
        }
    }

    /// Only locked without the GIL, so that threads that share this object cannot deadlock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event, or none at the end. Handles signals also if there is an event at once: `list`, `tuple` and other
    /// consumers outside the interpreter's loop do not.
    fn next_event(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        loop {
            let polled = py.detach(|| {
                let mut state = self.state();
                let poll = state
                    .running
                    .as_mut()
                    .map(|running| running.next_timeout(SIGNAL_INTERVAL));
                match &poll {
                    Some(Poll::Event(Ok(Event::Finished(finished)))) => {
                        state.finished = Some(finished.clone());
                        state.running = None;
                    }
                    Some(Poll::Event(Err(_)) | Poll::Finished) => state.running = None,
                    _ => {}
                }
                poll
            });
            if let Err(interrupt) = py.check_signals() {
                self.close(py);
                return Err(interrupt);
            }
            match polled {
                None | Some(Poll::Finished) => return Ok(None),
                Some(Poll::Event(event)) => return event.py().map(Some),
                Some(Poll::Pending) => {}
            }
        }
    }

    /// Waits for the whole completion.
    pub fn collect(&self, py: Python<'_>, with_logprobs: bool) -> PyResult<Completion> {
        let (mut text, mut tokens, mut logprobs) = (String::new(), Vec::new(), Vec::new());
        loop {
            match self.next_event(py)? {
                Some(Event::Prefill(_) | Event::Started(_)) => {}
                Some(Event::Token(token)) => {
                    text.push_str(&token.text);
                    tokens.push(token.id);
                    logprobs.extend(token.logprob.map(Into::into));
                }
                Some(Event::Finished(end)) => {
                    text.push_str(&end.text);
                    logprobs.truncate(logprobs.len().saturating_sub(end.tokens_past_text));
                    return Ok(Completion {
                        text,
                        tokens,
                        finish_reason: end.reason.as_str(),
                        stop_string: stop_string(&end),
                        logprobs: with_logprobs.then_some(logprobs),
                        metrics: end.metrics.into(),
                    });
                }
                None => return Err(rejected("the generation was closed before its end")),
            }
        }
    }
}

fn stop_string(finished: &Finished) -> Option<String> {
    finished.reason.stop_string().map(str::to_owned)
}

#[pymethods]
impl Generation {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Piece>> {
        let mut event = self.next_event(py)?;
        while let Some(Event::Prefill(_) | Event::Started(_)) = event {
            event = self.next_event(py)?;
        }
        let piece = match event {
            Some(Event::Token(token)) => Piece {
                text: token.text,
                token: Some(token.id),
                logprob: token.logprob.map(Into::into),
            },
            // Text that was held back is a separate piece.
            Some(Event::Finished(end)) if !end.text.is_empty() => Piece {
                text: end.text,
                token: None,
                logprob: None,
            },
            Some(Event::Prefill(_) | Event::Started(_) | Event::Finished(_)) | None => {
                return Ok(None);
            }
        };
        Ok(Some(piece))
    }

    #[getter]
    fn finish_reason(&self, py: Python<'_>) -> Option<&'static str> {
        py.detach(|| {
            self.state()
                .finished
                .as_ref()
                .map(|end| end.reason.as_str())
        })
    }

    #[getter]
    fn stop_string(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.state().finished.as_ref().and_then(stop_string))
    }

    #[getter]
    fn metrics(&self, py: Python<'_>) -> Option<RequestMetrics> {
        py.detach(|| self.state().finished.as_ref().map(|end| end.metrics.into()))
    }

    /// Cancels the generation.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.state().running = None);
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }
}
