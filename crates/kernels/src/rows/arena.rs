//! The memory of activations, which is reused from pass to pass.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapMut, MmapRaw};

use super::free_list::FreeList;
use crate::{
    KernelError,
    metal::{BufferId, DeviceMemory, Queue},
};

/// Places start at multiples of this many elements: 256 bytes, which devices require of offsets.
const ALIGNMENT: usize = 64;
/// Elements of the smallest chunk. Pages that are not touched take no memory.
const MIN_CHUNK: usize = 1 << 20;

/// A range of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the chunk.
    pub chunk: usize,
    /// The first element in the chunk.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
}

impl Place {
    /// The place of no elements.
    const EMPTY: Self = Self {
        chunk: 0,
        start: 0,
        len: 0,
    };
}

/// What the places of an arena refer to.
#[derive(Clone, Debug)]
pub(crate) enum ArenaMemory {
    /// Main memory.
    Host,
    /// Main memory that a device uses as well.
    Device(Arc<Queue>),
    /// Nothing: places are only counted.
    None,
}

/// Hands out ranges of memory for activations. A pass that is like an earlier one gets the same ranges, because the
/// lowest free range is taken and a handle returns its range when it is dropped.
///
/// The arena has one chunk of memory. If that is too small for a pass, further chunks are added until the pass ends,
/// when they are replaced by a chunk as large as all of them. Chunks are zeroed by the operating system when they are
/// created, not when they are reused.
#[derive(Debug)]
pub(crate) struct Arena {
    memory: ArenaMemory,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chunks: Vec<Chunk>,
    /// Places in use.
    places: usize,
    /// Elements in use, and the most of them since [`Arena::reset_peak`].
    used: usize,
    peak: usize,
    /// Elements that are kept while no place is in use.
    retained: usize,
}

#[derive(Debug)]
struct Chunk {
    free: FreeList,
    len: usize,
    map: ChunkMap,
}

#[derive(Debug)]
enum ChunkMap {
    None,
    Host(MmapRaw),
    Device(DeviceMemory),
}

impl Chunk {
    fn new(memory: &ArenaMemory, len: usize) -> Result<Self, KernelError> {
        let size_bytes = len.saturating_mul(size_of::<f32>());
        let map = match memory {
            ArenaMemory::None => ChunkMap::None,
            ArenaMemory::Device(queue) => {
                ChunkMap::Device(DeviceMemory::zeroed(queue, size_bytes)?)
            }
            ArenaMemory::Host => {
                let map = MmapMut::map_anon(size_bytes).map_err(|reason| {
                    KernelError::ActivationMemory {
                        size_bytes,
                        reason: reason.to_string(),
                    }
                })?;
                ChunkMap::Host(map.into())
            }
        };
        Ok(Self {
            free: FreeList::new(len),
            len,
            map,
        })
    }
}

impl Arena {
    pub fn new(memory: ArenaMemory) -> Self {
        Self {
            memory,
            state: Mutex::new(State {
                chunks: Vec::new(),
                places: 0,
                used: 0,
                peak: 0,
                retained: usize::MAX,
            }),
        }
    }

    /// Keeps at most about `len` elements while no place is in use.
    pub fn retain(&self, len: usize) {
        self.lock().retained = len.max(MIN_CHUNK);
    }

    /// The most elements that were in use since [`Arena::reset_peak`].
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// Starts to measure the peak.
    pub fn reset_peak(&self) {
        let mut state = self.lock();
        state.peak = state.used;
    }

    /// Takes `len` elements, whose values are those of an earlier use.
    pub fn allocate(&self, len: usize) -> Result<Place, KernelError> {
        let Some(padded) = len.checked_next_multiple_of(ALIGNMENT) else {
            return Err(KernelError::ActivationMemory {
                size_bytes: usize::MAX,
                reason: "the size overflows".into(),
            });
        };
        if len == 0 {
            return Ok(Place::EMPTY);
        }
        let mut state = self.lock();
        let chunks = &mut state.chunks;
        let found = chunks
            .iter_mut()
            .enumerate()
            .find_map(|(chunk, Chunk { free, .. })| Some((chunk, free.allocate(padded)?)));
        let (chunk, start) = if let Some(found) = found {
            found
        } else {
            let total: usize = chunks.iter().map(|chunk| chunk.len).sum();
            let mut chunk = Chunk::new(&self.memory, padded.max(total).max(MIN_CHUNK))?;
            let start = chunk.free.allocate(padded).unwrap_or_default();
            chunks.push(chunk);
            (chunks.len() - 1, start)
        };
        state.places += 1;
        state.used += padded;
        state.peak = state.peak.max(state.used);
        Ok(Place { chunk, start, len })
    }

    /// Returns a place. With the last one, all chunks become one.
    pub fn deallocate(&self, place: Place) {
        if place.len == 0 {
            return;
        }
        let padded = place.len.next_multiple_of(ALIGNMENT);
        let mut state = self.lock();
        let range = place.start..place.start + padded;
        state.chunks[place.chunk].free.deallocate(range);
        state.places -= 1;
        state.used -= padded;
        let total: usize = state.chunks.iter().map(|chunk| chunk.len).sum();
        let kept = total.min(state.retained);
        if state.places == 0 && (state.chunks.len() > 1 || kept < total) {
            state.chunks.clear();
            // If the chunk cannot be created, the next pass takes smaller ones.
            state.chunks.extend(Chunk::new(&self.memory, kept));
        }
    }

    /// The memory of a place, which is in use and not empty.
    ///
    /// # Panics
    /// If the arena has no memory on the host.
    #[expect(clippy::cast_ptr_alignment, reason = "maps are aligned to pages")]
    pub fn pointer(&self, place: Place) -> *mut f32 {
        let start = match &self.lock().chunks[place.chunk].map {
            ChunkMap::Host(map) => map.as_mut_ptr(),
            ChunkMap::Device(memory) => memory.pointer(),
            ChunkMap::None => panic!("these activations have no memory on the host"),
        };
        // The place is inside the chunk.
        start.cast::<f32>().wrapping_add(place.start)
    }

    /// The memory of the device that has a place; `None` if no device has it.
    pub fn buffer(&self, place: Place) -> Option<BufferId> {
        match &self.lock().chunks.get(place.chunk)?.map {
            ChunkMap::Device(memory) => Some(memory.range(0, 0).buffer),
            ChunkMap::Host(_) | ChunkMap::None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of a pass that keeps its first result until the end.
    fn pass(arena: &Arena, len: usize) -> Vec<Place> {
        let first = arena.allocate(len).unwrap();
        let mut places = vec![first];
        let mut last: Option<Place> = None;
        for step in 0..20 {
            let place = arena.allocate(len + step).unwrap();
            if let Some(last) = last.replace(place) {
                arena.deallocate(last);
            }
            places.push(place);
        }
        arena.deallocate(last.unwrap());
        arena.deallocate(first);
        places
    }

    #[test]
    fn same_pass_has_the_same_places_and_memory() {
        for memory in [ArenaMemory::Host, ArenaMemory::None] {
            let arena = Arena::new(memory);
            let small = pass(&arena, 100);
            assert_eq!(pass(&arena, 100), small);
            // A larger pass first takes several chunks.
            assert!(
                pass(&arena, MIN_CHUNK / 2)
                    .iter()
                    .any(|place| place.chunk > 0)
            );
            let large = pass(&arena, MIN_CHUNK / 2);
            assert!(large.iter().all(|place| place.chunk == 0));
            assert_eq!(pass(&arena, MIN_CHUNK / 2), large);
            assert_eq!(pass(&arena, 100), small);
        }
    }

    #[test]
    fn memory_beyond_the_limit_is_not_kept() {
        let arena = Arena::new(ArenaMemory::Host);
        arena.retain(MIN_CHUNK);
        let first = arena.allocate(MIN_CHUNK).unwrap();
        let second = arena.allocate(1).unwrap();
        assert_eq!((first.chunk, second.chunk), (0, 1));
        arena.deallocate(first);
        assert_eq!(arena.lock().chunks.len(), 2);
        arena.deallocate(second);
        let kept = |arena: &Arena| -> Vec<usize> {
            let state = arena.lock();
            state.chunks.iter().map(|chunk| chunk.len).collect()
        };
        assert_eq!(kept(&arena), [MIN_CHUNK]);
        let large = arena.allocate(3 * MIN_CHUNK).unwrap();
        assert_eq!(kept(&arena), [MIN_CHUNK, 3 * MIN_CHUNK]);
        arena.deallocate(large);
        assert_eq!(kept(&arena), [MIN_CHUNK]);
    }

    #[test]
    fn places_are_aligned_and_disjoint() {
        let arena = Arena::new(ArenaMemory::Host);
        let places: Vec<_> = [1, 63, 64, 65, 1000]
            .map(|len| arena.allocate(len).unwrap())
            .into();
        for (place, next) in places.iter().zip(&places[1..]) {
            assert!(next.start >= place.start + place.len);
            assert_eq!(arena.pointer(*next).addr() % 256, 0);
        }
        assert_eq!(arena.peak(), 64 + 64 + 64 + 128 + 1024);
        for place in places {
            arena.deallocate(place);
        }
        arena.reset_peak();
        assert_eq!(arena.peak(), 0);
    }
}
