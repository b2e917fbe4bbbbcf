//! Weights and parameters on a device.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{BufferRange, bump::Bump, device_memory::DeviceMemory, queue::Queue};
use crate::{Bytes, KernelError, Param, Weight};

/// The constants that a device knows: whole files with weights, and copies of parameters. They stay until the backend is
/// dropped.
#[derive(Debug)]
pub(crate) struct Constants {
    queue: Arc<Queue>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Maps by the address of their first byte.
    maps: BTreeMap<usize, DeviceMemory>,
    /// Parameters by the address of their first value. A clone keeps the address from being used again.
    params: HashMap<usize, (Param, BufferRange)>,
    param_values: Bump,
}

impl Constants {
    pub fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            state: Mutex::default(),
        }
    }

    /// Makes a weight visible to the device: the whole file that it is mapped from. Parts that are not in a map, or that
    /// are not aligned for words of 4 bytes, are copied.
    pub fn add_weight(&self, weight: &Weight) -> Result<Weight, KernelError> {
        let mut state = self.lock();
        weight.placed(&mut |bytes: &Bytes, alignment: usize| {
            let address = bytes.as_slice().as_ptr().addr();
            let bytes = match bytes.map() {
                Some(_) if address.is_multiple_of(alignment) => bytes.clone(),
                _ => bytes
                    .copy_to_pages()
                    .map_err(|error| KernelError::WeightMemory {
                        size_bytes: bytes.len(),
                        reason: error.to_string(),
                    })?,
            };
            if let Some(map) = bytes.map() {
                let start = map.as_ptr().addr();
                if let Entry::Vacant(entry) = state.maps.entry(start) {
                    entry.insert(DeviceMemory::constant(&self.queue, map.clone())?);
                }
            }
            Ok(bytes)
        })
    }

    /// Where the device has bytes of a weight.
    pub fn bytes(&self, op: &'static str, bytes: &Bytes) -> Result<BufferRange, KernelError> {
        let address = bytes.as_slice().as_ptr().addr();
        let state = self.lock();
        if let Some((start, memory)) = state.maps.range(..=address).next_back() {
            let offset = address - start;
            if offset + bytes.len() <= memory.len() {
                return Ok(memory.range(offset, bytes.len()));
            }
        }
        let problem = "a weight that `Kernels::repack` has not made visible to the device";
        Err(KernelError::Handle { op, problem })
    }

    /// Where the device has a parameter, which is copied the first time.
    pub fn param(&self, param: &Param) -> Result<BufferRange, KernelError> {
        let address = param.as_slice().as_ptr().addr();
        let mut state = self.lock();
        if let Some((_, range)) = state.params.get(&address) {
            return Ok(*range);
        }
        let values = param.as_slice();
        let range = state
            .param_values
            .add(&self.queue, values.len(), |out: &mut [f32]| {
                out.copy_from_slice(values);
            })?;
        state.params.insert(address, (param.clone(), range));
        Ok(range)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
