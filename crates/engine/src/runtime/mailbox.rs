//! A channel from the worker thread to one receiver, which blocks, waits with a timeout, or is polled by an async task.
//!
//! It is not flume or a tokio channel because those wake the receiver inside `send`: here the worker only queues the events
//! ([`Sender::put`]), and another thread wakes the receivers ([`ReceiverWaker::wake`]).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    readable: Condvar,
    /// Checked for every request in every step, so it is outside the lock.
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
        self.readable.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The sending half. Dropping it closes the channel.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Wakes the receiver of queued items.
#[derive(Debug)]
pub struct ReceiverWaker<T>(Arc<Shared<T>>);

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// The result of a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait<T> {
    /// An item.
    Item(T),
    /// The deadline passed.
    TimedOut,
    /// The sender was dropped and the queue is empty.
    Closed,
}

/// Creates a channel.
pub fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        queue: VecDeque::new(),
        waker: None,
        sender_dropped: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        readable: Condvar::new(),
        receiver_dropped: AtomicBool::new(false),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Queues items without waking the receiver. Discards them if the receiver was dropped.
    pub fn put(&self, items: impl IntoIterator<Item = T>) -> ReceiverWaker<T> {
        let mut state = self.0.lock();
        if !self.is_abandoned() {
            state.queue.extend(items);
        }
        ReceiverWaker(Arc::clone(&self.0))
    }

    /// Whether the receiver was dropped.
    pub fn is_abandoned(&self) -> bool {
        self.0.receiver_dropped.load(Ordering::Acquire)
    }
}

impl<T> ReceiverWaker<T> {
    /// Wakes the receiver, usually with a system call.
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
    /// Blocks until the next item, at most until `deadline`.
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
                        .readable
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                    Some(Duration::ZERO) => return Wait::TimedOut,
                    Some(left) => {
                        self.0
                            .readable
                            .wait_timeout(state, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                };
        }
    }

    /// Polls for the next item; `None` once the channel is closed.
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
