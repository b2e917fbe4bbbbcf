//! The events of a running generation: [`Generation`].

use std::pin::Pin;
use std::task::{Context, Poll as TaskPoll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::mailbox::{Receiver, Wait};
use crate::error::GenerationError;
use crate::request::Event;

/// The events of one request: an iterator that blocks, or an async stream. Dropping it cancels the request within one
/// step.
#[derive(Debug)]
pub struct Generation {
    events: Receiver<Result<Event, GenerationError>>,
    finished: bool,
}

/// Result of [`Generation::next_timeout`].
#[derive(Debug)]
pub enum Poll {
    /// The next event, or the error that ends the generation.
    Event(Result<Event, GenerationError>),
    /// No event within the timeout. The generation continues.
    Pending,
    /// There are no more events.
    Finished,
}

impl Generation {
    pub(super) fn new(events: Receiver<Result<Event, GenerationError>>) -> Self {
        Self {
            events,
            finished: false,
        }
    }

    /// Waits at most `timeout` for the next event, for callers that have to check for signals in between.
    pub fn next_timeout(&mut self, timeout: Duration) -> Poll {
        if self.finished {
            return Poll::Finished;
        }
        match self.events.wait(Some(Instant::now() + timeout)) {
            Wait::Item(event) => Poll::Event(self.record(event)),
            Wait::TimedOut => Poll::Pending,
            Wait::Closed => Poll::Event(self.record(Err(GenerationError::Stopped))),
        }
    }

    /// Records whether this is the last event.
    fn record(&mut self, event: Result<Event, GenerationError>) -> Result<Event, GenerationError> {
        self.finished = matches!(event, Ok(Event::Finished(_)) | Err(_));
        event
    }
}

impl Iterator for Generation {
    type Item = Result<Event, GenerationError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let event = match self.events.wait(None) {
            Wait::Item(event) => event,
            Wait::TimedOut | Wait::Closed => Err(GenerationError::Stopped),
        };
        Some(self.record(event))
    }
}

impl Stream for Generation {
    type Item = Result<Event, GenerationError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> TaskPoll<Option<Self::Item>> {
        if self.finished {
            return TaskPoll::Ready(None);
        }
        self.events
            .poll(context)
            .map(|event| Some(self.record(event.unwrap_or(Err(GenerationError::Stopped)))))
    }
}
