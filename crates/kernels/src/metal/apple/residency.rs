//! Residency sets: memory that stays wired while the GPU is idle.
//!
//! Without them, the system unwires memory about a second after the last command buffer, and the next pass takes several times
//! as long (llama.cpp #10119). A set is wired as a whole, so many small ones are better than a large one (mlx #4211).
//! A set that is wired does not change: buffers are added to sets that are not, and a set is unwired before one is removed.
//! Systems before macOS 15 have no sets; all of this does nothing there.

use super::driver::{Driver, ResidencySet};

/// Most sets of a queue (`MTLCommandQueue` allows 32).
pub(super) const MAX_SETS: usize = 32;

/// Most bytes of a set with several buffers, as a part of the memory that the GPU can use well.
pub(super) const SET_SHARE: f64 = 0.05;

/// The sets of a queue.
#[derive(Debug)]
pub(super) struct Residency<S: ResidencySet> {
    sets: Vec<Set<S>>,
    max_bytes: usize,
    /// Whether the system has sets.
    supported: bool,
}

#[derive(Debug)]
struct Set<S: ResidencySet> {
    metal: S,
    bytes: usize,
    buffers: usize,
    /// Additions that have not been committed.
    changed: bool,
    /// Wired.
    requested: bool,
}

impl<S: ResidencySet> Residency<S> {
    /// No sets yet, for a GPU that can use `working_set_bytes` well.
    pub fn new(working_set_bytes: u64) -> Self {
        Self {
            sets: Vec::new(),
            max_bytes: (working_set_bytes as f64 * SET_SHARE) as usize,
            supported: true,
        }
    }

    /// Adds a buffer to a set and returns the number of the set. [`Residency::request`] wires it.
    pub fn add<D>(&mut self, driver: &D, buffer: &S::Buffer, bytes: usize) -> Option<usize>
    where
        D: Driver<ResidencySet = S>,
    {
        let number = self.choose(driver, bytes)?;
        let set = &mut self.sets[number];
        set.unwire();
        set.metal.add(buffer);
        set.changed = true;
        set.bytes += bytes;
        set.buffers += 1;
        Some(number)
    }

    /// The set for a buffer: one that is not wired and has enough room, or a new one, or else the smallest.
    fn choose<D>(&mut self, driver: &D, bytes: usize) -> Option<usize>
    where
        D: Driver<ResidencySet = S>,
    {
        let fits = |set: &Set<S>| {
            !set.requested && (set.buffers == 0 || set.bytes + bytes <= self.max_bytes)
        };
        if let Some(number) = self.sets.iter().position(fits) {
            return Some(number);
        }
        if self.supported && self.sets.len() < MAX_SETS {
            if let Some(set) = driver.residency_set() {
                self.sets.push(Set {
                    metal: set,
                    bytes: 0,
                    buffers: 0,
                    changed: false,
                    requested: false,
                });
                return Some(self.sets.len() - 1);
            }
            self.supported = false;
        }
        (0..self.sets.len()).min_by_key(|number| self.sets[*number].bytes)
    }

    /// Removes a buffer from the set that [`Residency::add`] returned.
    pub fn remove(&mut self, number: usize, buffer: &S::Buffer, bytes: usize) {
        let set = &mut self.sets[number];
        set.unwire();
        set.metal.remove(buffer);
        // The caller may unmap the memory at once.
        set.metal.commit();
        set.changed = false;
        set.bytes -= bytes;
        set.buffers -= 1;
    }

    /// Wires all sets that are not wired yet.
    pub fn request(&mut self) {
        for set in &mut self.sets {
            if set.changed {
                set.metal.commit();
                set.changed = false;
            }
            if set.buffers > 0 && !set.requested {
                set.metal.request();
                set.requested = true;
            }
        }
    }

    /// Keeps wired sets wired for some time.
    pub fn keep(&mut self) {
        for set in self.sets.iter_mut().filter(|set| set.requested) {
            set.metal.request();
        }
    }

    /// Unwires all memory.
    pub fn clear(&mut self) {
        self.sets.clear();
    }
}

impl<S: ResidencySet> Set<S> {
    fn unwire(&mut self) {
        if self.requested {
            self.metal.end();
            self.requested = false;
        }
    }
}

impl<S: ResidencySet> Drop for Set<S> {
    fn drop(&mut self) {
        self.unwire();
    }
}
