//! A seqlock: numbers that one thread publishes and any thread reads as a consistent snapshot.
//!
//! It is not a crate: arc-swap would allocate in every step, and the seqlock crates copy values of a fixed size with racing
//! non-atomic or volatile reads, while these words are atomics whose number depends on the model.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A snapshot of words. The writer never waits for readers; a reader that overlaps a write retries.
#[derive(Debug)]
pub struct SeqLock {
    /// Odd while the words are being written.
    version: AtomicU64,
    words: Box<[AtomicU64]>,
}

impl SeqLock {
    /// A snapshot of this many zeros.
    pub fn new(words: usize) -> Self {
        Self {
            version: AtomicU64::new(0),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Replaces the words. Must be called by one thread only.
    pub fn write(&self, words: impl IntoIterator<Item = u64>) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // No word may be seen before the odd version is.
        fence(Ordering::Release);
        for (slot, word) in self.words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }

    /// The words of the last complete write.
    pub fn read(&self) -> Vec<u64> {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let words = self.words.iter().map(|word| word.load(Ordering::Relaxed));
            let words = words.collect();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && before == self.version.load(Ordering::Relaxed) {
                return words;
            }
            // The writer may need this core to finish.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_returns_words_of_a_single_write() {
        let seqlock = SeqLock::new(5);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for value in 1..20_000 {
                    seqlock.write([value; 5]);
                }
            });
            while !writer.is_finished() {
                let words = seqlock.read();
                assert_eq!(words, [words[0]; 5]);
            }
        });
        assert_eq!(seqlock.read(), [19_999; 5]);
    }
}
