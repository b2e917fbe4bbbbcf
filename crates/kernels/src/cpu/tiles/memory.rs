//! Memory of tiles.

use memmap2::MmapMut;

use crate::KernelError;

/// Whole pages, large ones where the system has them: a product walks through all of its weight, and a table of small
/// pages would not fit the processor's own.
#[derive(Debug)]
pub(super) struct TileMemory(MmapMut);

impl TileMemory {
    /// Reserves `len` zeroed bytes; pages are committed as they are written.
    pub fn new(len: usize) -> Result<Self, KernelError> {
        let map = MmapMut::map_anon(len).map_err(|reason| KernelError::WeightMemory {
            size_bytes: len,
            reason: reason.to_string(),
        })?;
        // Advice only: a system without large pages serves small ones.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(map))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
