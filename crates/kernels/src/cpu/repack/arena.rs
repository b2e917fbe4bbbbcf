//! Memory of repacked weights.

use std::{
    ops::Range,
    slice,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

use memmap2::{MmapMut, MmapRaw};

use crate::KernelError;

/// Minimum size of a mapping: many huge pages, so that little is lost at its edges.
const MAPPING_BYTES: usize = 64 << 20;
/// Weights start at a multiple of two cache lines, which CPUs fetch together.
const ALIGNMENT: usize = 128;

/// Allocates repacked weights next to each other in large mappings: reading a weight touches more small pages than
/// the TLB holds, and huge pages can only be formed from contiguous memory.
///
/// Memory is first written in small pages. A fresh huge page can cost several times as much: a virtual machine gets
/// it from its host piecemeal, and a fragmented system has to compact memory. [`Arena::promote_huge_pages`] converts
/// the mappings later.
#[derive(Debug, Default)]
pub(crate) struct Arena(Mutex<Vec<Mapping>>);

/// A mapping whose pages are small; the weights in it keep it alive.
#[derive(Debug)]
struct Mapping {
    map: Weak<MmapRaw>,
    used: usize,
}

/// Memory of one repacked weight.
#[derive(Debug)]
pub(super) struct RepackedMemory {
    map: Arc<MmapRaw>,
    range: Range<usize>,
}

impl Arena {
    /// Reserves `len` zeroed bytes; pages are committed as they are written.
    pub(super) fn reserve(&self, len: usize) -> Result<RepackedMemory, KernelError> {
        let mut mappings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = mappings.last_mut()
            && let Some(map) = last.map.upgrade()
            && let start = last.used.next_multiple_of(ALIGNMENT)
            && start + len <= map.len()
        {
            last.used = start + len;
            return Ok(RepackedMemory {
                range: start..last.used,
                map,
            });
        }
        let map = MmapMut::map_anon(len.max(MAPPING_BYTES)).map_err(|reason| {
            KernelError::WeightMemory {
                size_bytes: len,
                reason: reason.to_string(),
            }
        })?;
        let map = Arc::new(MmapRaw::from(map));
        mappings.push(Mapping {
            map: Arc::downgrade(&map),
            used: len,
        });
        Ok(RepackedMemory { map, range: 0..len })
    }

    /// Converts the memory reserved so far to huge pages on a separate thread, then calls `done`. Where huge pages
    /// are not available, pages stay as they are.
    pub fn promote_huge_pages(&self, done: impl FnOnce() + Send + 'static) {
        let mappings = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if cfg!(not(target_os = "linux")) || mappings.is_empty() {
            return done();
        }
        let work = move || {
            #[cfg(target_os = "linux")]
            huge_pages::collapse_all(&mappings);
            drop(mappings);
            done();
        };
        // If no thread can be spawned, the weights stay in small pages.
        drop(thread::Builder::new().name("mlxm-pages".into()).spawn(work));
    }
}

impl RepackedMemory {
    pub fn len(&self) -> usize {
        self.range.len()
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the range is inside the mapping, which `self` keeps alive and which is zeroed when created.
        // `reserve` returns a range of a mapping only once, so it is written only through `as_mut_slice` of this
        // `self`.
        unsafe { slice::from_raw_parts(self.map.as_ptr().add(self.range.start), self.len()) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; `self` is borrowed mutably, so no other reference to the range exists.
        unsafe {
            slice::from_raw_parts_mut(self.map.as_mut_ptr().add(self.range.start), self.len())
        }
    }
}

#[cfg(target_os = "linux")]
mod huge_pages {
    use std::io;

    use memmap2::{Advice, MmapRaw};

    use super::Mapping;

    /// Bytes per system call. Threads that read them wait for the call.
    const STEP_BYTES: usize = 2 << 20;
    /// Since Linux 6.1; `libc` defines it only for some targets.
    const MADV_COLLAPSE: i32 = 25;

    pub fn collapse_all(mappings: &[Mapping]) {
        for mapping in mappings {
            for start in (0..mapping.used).step_by(STEP_BYTES) {
                // The mapping is gone if the model was unloaded.
                let Some(map) = mapping.map.upgrade() else {
                    break;
                };
                let len = STEP_BYTES.min(mapping.used - start);
                if let Err(error) = collapse(&map, start, len)
                    && error.raw_os_error() == Some(libc::EINVAL)
                {
                    // Older kernels convert the pages gradually in the background.
                    drop(map.advise_range(Advice::HugePage, 0, mapping.used));
                    break;
                }
            }
        }
    }

    fn collapse(map: &MmapRaw, start: usize, len: usize) -> io::Result<()> {
        // SAFETY: the range is inside the mapping, and the call does not change its content.
        let code = unsafe { libc::madvise(map.as_mut_ptr().add(start).cast(), len, MADV_COLLAPSE) };
        if code == 0 {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn arena_reservations_are_disjoint_and_survive_promotion() {
        let arena = Arena::default();
        let sizes = [
            0,
            1,
            3 << 20,
            129,
            MAPPING_BYTES + 1,
            5 << 20,
            MAPPING_BYTES - 1,
        ];
        let reserve = |value: usize, len: usize| {
            let mut memory = arena.reserve(len).unwrap();
            assert!(memory.as_slice().iter().all(|byte| *byte == 0));
            assert!(memory.as_slice().as_ptr().addr().is_multiple_of(ALIGNMENT));
            memory.as_mut_slice().fill(value as u8 + 1);
            memory
        };
        let check = |memories: &[RepackedMemory]| {
            for (value, memory) in memories.iter().enumerate() {
                assert_eq!(memory.len(), sizes[value % sizes.len()]);
                assert!(
                    memory
                        .as_slice()
                        .iter()
                        .all(|byte| *byte == value as u8 + 1)
                );
            }
        };
        let mut memories: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(value, len)| reserve(value, *len))
            .collect();
        check(&memories);
        for _ in 0..2 {
            let (done, promoted) = channel();
            arena.promote_huge_pages(move || done.send(()).unwrap());
            promoted.recv().unwrap();
            check(&memories);
            let next = memories.len();
            memories.extend(
                sizes
                    .iter()
                    .enumerate()
                    .map(|(value, len)| reserve(next + value, *len)),
            );
            check(&memories);
        }
    }
}
