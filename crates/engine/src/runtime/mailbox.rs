//! A channel from the worker thread to one receiver that blocks, waits with a timeout, or is an async task.
//!
//! It is not flume or a tokio channel: those wake the receiver inside `send`, while the worker sends the events of a step in
//! one lock and defers the wake-ups, each a system call, to a background thread after the step.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    /// Read for every request in every step, so it is outside the lock.
    receiver_dropped: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    waker: Option<Waker>,
    sender_dropped: bool,
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

/// The worker's side.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Wakes the receiver after items were sent.
#[derive(Debug)]
pub struct ReaderWaker<T>(Arc<Shared<T>>);

/// The caller's side.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// The result of a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// An item.
    Item(T),
    /// The deadline passed.
    TimedOut,
    /// The sender is gone and the queue is empty.
    Closed,
}

/// A connected pair.
pub fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        queue: VecDeque::new(),
        waker: None,
        sender_dropped: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        arrived: Condvar::new(),
        receiver_dropped: AtomicBool::new(false),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Queues items without waking the receiver, or drops them if it is gone.
    pub fn put(&self, items: impl IntoIterator<Item = T>) -> ReaderWaker<T> {
        let mut state = self.0.lock();
        if !self.is_abandoned() {
            state.queue.extend(items);
        }
        ReaderWaker(Arc::clone(&self.0))
    }

    /// Whether the receiver is gone.
    pub fn is_abandoned(&self) -> bool {
        self.0.receiver_dropped.load(Ordering::Acquire)
    }
}

impl<T> ReaderWaker<T> {
    /// Wakes the receiver. This is a system call.
    pub fn wake(self) {
        self.0.notify(self.0.lock());
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.sender_dropped = true;
        self.0.notify(state);
    }
}

impl<T> Receiver<T> {
    /// Blocks until the next item or `deadline`.
    pub fn wait(&self, deadline: Option<Instant>) -> Wait<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(item) = state.queue.pop_front() {
                return Wait::Item(item);
            }
            if state.sender_dropped {
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
            None if state.sender_dropped => Poll::Ready(None),
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
        self.0.receiver_dropped.store(true, Ordering::Release);
        state.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_gets_items_in_order_then_closed() {
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
    fn wait_times_out_at_an_expired_deadline() {
        let (_sender, receiver) = mailbox::<u8>();
        assert_eq!(receiver.wait(Some(Instant::now())), Wait::TimedOut);
    }

    #[test]
    fn sender_is_abandoned_when_the_receiver_is_dropped() {
        let (sender, receiver) = mailbox::<u8>();
        assert!(!sender.is_abandoned());
        drop(receiver);
        assert!(sender.is_abandoned());
    }
}
