//! Work on its way through a device, and the memory that it uses.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    BufferId, Commands, Device, DeviceError, DeviceInfo, PipelineId, Source, SubmissionId,
    device_memory::HostMemory,
};

/// A device with the work that it was given.
///
/// Work is executed in the order of its submission. Memory that is dropped while the device may use it is unmapped once
/// all work has ended.
#[derive(Debug)]
pub(crate) struct Queue {
    device: Arc<dyn Device>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a pass is being encoded.
    encoding: bool,
    /// Finished passes that may still run, in their order.
    running: VecDeque<(u64, Vec<SubmissionId>)>,
    /// Passes without results.
    failed: BTreeMap<u64, DeviceError>,
    /// Memory to unmap.
    retired: Vec<(BufferId, HostMemory)>,
}

impl Queue {
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self {
            device,
            state: Mutex::default(),
        }
    }

    /// What the device is.
    pub fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    /// Makes memory visible to the device.
    pub fn map(&self, memory: &HostMemory) -> Result<BufferId, DeviceError> {
        let _state = self.lock();
        // SAFETY: `HostMemory` is aligned to pages and whole pages. It is unmapped from the device before it is dropped:
        // its owner gives it to `retire`.
        unsafe { self.device.map(memory.pointer(), memory.len()) }
    }

    /// Unmaps memory as soon as the device does not use it.
    pub fn retire(&self, buffer: BufferId, memory: HostMemory) {
        let mut state = self.lock();
        state.retired.push((buffer, memory));
        self.unmap_retired(&mut state);
    }

    pub fn compile(
        &self,
        source: Source,
        text: &str,
        host_names: &[String],
    ) -> Result<Vec<PipelineId>, DeviceError> {
        let _state = self.lock();
        self.device.compile(source, text, host_names)
    }

    /// Starts to encode a pass. Returns false if another one is being encoded: two passes at a time would overwrite each
    /// other's activations, whose memory is reused in the order of the calls.
    pub fn begin(&self) -> bool {
        let mut state = self.lock();
        !std::mem::replace(&mut state.encoding, true)
    }

    /// Whether a pass is being encoded.
    pub fn is_encoding(&self) -> bool {
        self.lock().encoding
    }

    /// Starts work of the pass that is being encoded.
    pub fn submit(&self, commands: &Commands<'_>) -> Result<SubmissionId, DeviceError> {
        let _state = self.lock();
        self.device.submit(commands)
    }

    /// Ends the encoding of a pass.
    pub fn finish(&self, pass: u64, submissions: Vec<SubmissionId>) {
        let mut state = self.lock();
        state.encoding = false;
        state.running.push_back((pass, submissions));
    }

    /// Ends the encoding of a pass that cannot be finished, and waits for what was submitted of it.
    pub fn abandon(&self, pass: u64, submissions: Vec<SubmissionId>, reason: DeviceError) {
        let mut state = self.lock();
        state.encoding = false;
        state.failed.insert(pass, reason);
        state.running.push_back((pass, submissions));
        // Its results are not used, so whether it failed does not matter.
        self.wait_until(&mut state, pass);
    }

    /// Waits until a pass and all before it have ended.
    ///
    /// # Errors
    /// If it has no results.
    pub fn wait(&self, pass: u64) -> Result<(), DeviceError> {
        let mut state = self.lock();
        self.wait_until(&mut state, pass);
        match state.failed.get(&pass) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Waits until all finished passes have ended.
    pub fn wait_for_all(&self) {
        self.wait_until(&mut self.lock(), u64::MAX);
    }

    fn wait_until(&self, state: &mut State, pass: u64) {
        let mut failure = None;
        while let Some((running, _)) = state.running.front() {
            // Later passes read what a failed one should have written, so they have no results either.
            if *running > pass && failure.is_none() {
                break;
            }
            let Some((running, submissions)) = state.running.pop_front() else {
                break;
            };
            // The last one first, so that there is one wait.
            for submission in submissions.into_iter().rev() {
                if let Err(error) = self.device.wait(submission) {
                    failure.get_or_insert(error);
                }
            }
            if let Some(error) = &failure {
                state.failed.entry(running).or_insert_with(|| error.clone());
            }
        }
        self.unmap_retired(state);
    }

    fn unmap_retired(&self, state: &mut State) {
        if state.encoding || !state.running.is_empty() {
            return;
        }
        for (buffer, memory) in state.retired.drain(..) {
            self.device.unmap(buffer);
            drop(memory);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
