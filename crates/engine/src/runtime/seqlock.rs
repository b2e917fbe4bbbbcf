//! Numbers that one thread publishes and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Words that are always of one moment. The writer never waits, so that nobody who reads can hold up a step; a reader
/// that meets a write reads again.
#[derive(Debug)]
pub struct SeqLock {
    /// Odd while the words are being written.
    version: AtomicU64,
    words: Box<[AtomicU64]>,
}

impl SeqLock {
    /// As many zeros.
    pub fn new(words: usize) -> Self {
        Self {
            version: AtomicU64::new(0),
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Replaces the words; called by one thread only.
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

    /// The words of the last write.
    pub fn read(&self) -> Vec<u64> {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let words = self.words.iter().map(|word| word.load(Ordering::Relaxed));
            let words = words.collect();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && before == self.version.load(Ordering::Relaxed) {
                return words;
            }
            // The writer may need this core to get done.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_always_of_one_write() {
        let published = SeqLock::new(5);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for value in 1..20_000 {
                    published.write([value; 5]);
                }
            });
            while !writer.is_finished() {
                let words = published.read();
                assert_eq!(words, [words[0]; 5]);
            }
        });
        assert_eq!(published.read(), [19_999; 5]);
    }
}
