//! A queue from the worker thread to one reader that may block, poll with a time limit, or be an async task. Channels of
//! the standard library cannot be awaited, those of async runtimes cannot wait with a limit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    /// Asked of every request in every step, so it is behind no lock.
    reader_gone: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    waker: Option<Waker>,
    sender_gone: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is a plain queue: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, mut state: MutexGuard<'_, State<T>>) {
        let waker = state.waker.take();
        drop(state);
        self.arrived.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Wakes the reader of what was put into its queue.
#[derive(Debug)]
pub struct ReaderWaker<T>(Arc<Shared<T>>);

/// The caller's end.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// What a wait with a time limit came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// An item.
    Item(T),
    /// Nothing yet.
    TimedOut,
    /// Nothing more will come.
    Closed,
}

/// A connected pair.
pub fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        queue: VecDeque::new(),
        waker: None,
        sender_gone: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        arrived: Condvar::new(),
        reader_gone: AtomicBool::new(false),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Queues items. What nobody will read is dropped. The reader is to be woken by the bell.
    pub fn put(&self, items: impl IntoIterator<Item = T>) -> ReaderWaker<T> {
        let mut state = self.0.lock();
        if !self.is_abandoned() {
            state.queue.extend(items);
        }
        ReaderWaker(Arc::clone(&self.0))
    }

    /// Whether the reader is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.reader_gone.load(Ordering::Acquire)
    }
}

impl<T> ReaderWaker<T> {
    /// Wakes the reader, which takes a system call.
    pub fn wake(self) {
        self.0.notify(self.0.lock());
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.sender_gone = true;
        self.0.notify(state);
    }
}

impl<T> Receiver<T> {
    /// Waits for the next item until `deadline`, or for as long as it takes.
    pub fn wait(&self, deadline: Option<Instant>) -> Wait<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(item) = state.queue.pop_front() {
                return Wait::Item(item);
            }
            if state.sender_gone {
                return Wait::Closed;
            }
            state =
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    None => self
                        .0
                        .arrived
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                    Some(Duration::ZERO) => return Wait::TimedOut,
                    Some(left) => {
                        self.0
                            .arrived
                            .wait_timeout(state, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                };
        }
    }

    /// The next item, for an async task.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        match state.queue.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if state.sender_gone => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.reader_gone.store(true, Ordering::Release);
        state.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_arrive_in_order_and_the_end_is_seen() {
        let (sender, receiver) = mailbox();
        let producer =
            std::thread::spawn(move || (0..100).for_each(|item| sender.put([item]).wake()));
        let mut seen = Vec::new();
        while let Wait::Item(item) = receiver.wait(None) {
            seen.push(item);
        }
        producer.join().unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_expired_deadline_is_a_time_out() {
        let (_sender, receiver) = mailbox::<u8>();
        assert_eq!(receiver.wait(Some(Instant::now())), Wait::TimedOut);
    }

    #[test]
    fn a_dropped_reader_is_noticed() {
        let (sender, receiver) = mailbox::<u8>();
        assert!(!sender.is_abandoned());
        drop(receiver);
        assert!(sender.is_abandoned());
    }
}
