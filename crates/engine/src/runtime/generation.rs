//! A running generation as its caller sees it.

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
    ended: bool,
}

/// What [`Generation::next_timeout`] came to.
#[derive(Debug)]
pub enum Poll {
    /// The next event, or the failure that ends the generation.
    Event(Result<Event, GenerationError>),
    /// Nothing within the time given; the generation goes on.
    Pending,
    /// Nothing more will come.
    Ended,
}

impl Generation {
    pub(super) fn new(events: Receiver<Result<Event, GenerationError>>) -> Self {
        Self {
            events,
            ended: false,
        }
    }

    /// Waits at most `timeout` for the next event, so that a caller can look at signals in between.
    pub fn next_timeout(&mut self, timeout: Duration) -> Poll {
        if self.ended {
            return Poll::Ended;
        }
        match self.events.wait(Some(Instant::now() + timeout)) {
            Wait::Item(event) => Poll::Event(self.note(event)),
            Wait::TimedOut => Poll::Pending,
            Wait::Closed => Poll::Event(self.note(Err(GenerationError::Stopped))),
        }
    }

    /// Remembers the end.
    fn note(&mut self, event: Result<Event, GenerationError>) -> Result<Event, GenerationError> {
        self.ended = matches!(event, Ok(Event::Finished(_)) | Err(_));
        event
    }
}

impl Iterator for Generation {
    type Item = Result<Event, GenerationError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = match self.events.wait(None) {
            Wait::Item(event) => event,
            Wait::TimedOut | Wait::Closed => Err(GenerationError::Stopped),
        };
        Some(self.note(event))
    }
}

impl Stream for Generation {
    type Item = Result<Event, GenerationError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> TaskPoll<Option<Self::Item>> {
        if self.ended {
            return TaskPoll::Ready(None);
        }
        self.events
            .poll(context)
            .map(|event| Some(self.note(event.unwrap_or(Err(GenerationError::Stopped)))))
    }
}
