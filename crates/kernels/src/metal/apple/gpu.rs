//! A GPU as a [`Device`].

use std::{
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    check::{self, Resolved},
    driver::{Driver, Encoder},
    heartbeat::Heartbeat,
    residency::Residency,
    submission::InFlight,
    views::{self, Mapping, View},
};
use crate::metal::{
    BufferId, Commands, Device, DeviceError, DeviceInfo, PipelineId, Source, SubmissionId,
};

type CommandBufferOf<D> = <<D as Driver>::Encoder as Encoder>::CommandBuffer;

/// A GPU with one command queue.
#[derive(Debug)]
pub(super) struct Gpu<D: Driver> {
    /// Keeps memory wired between uses.
    heartbeat: Option<Heartbeat>,
    residency: Arc<Mutex<Residency<D::ResidencySet>>>,
    state: Mutex<State<D>>,
    info: DeviceInfo,
    driver: Arc<D>,
}

#[derive(Debug)]
struct State<D: Driver> {
    in_flight: InFlight<CommandBufferOf<D>>,
    /// By [`BufferId`]. One that was unmapped has no views.
    mappings: Vec<Mapping<D::Buffer>>,
    /// By [`PipelineId`].
    pipelines: Vec<D::Pipeline>,
    /// The bindings of the dispatches that are submitted.
    resolved: Vec<Resolved>,
}

impl<D: Driver> Gpu<D> {
    /// A GPU whose memory is unwired when it has been idle, until [`Gpu::start_heartbeat`].
    pub fn new(driver: D) -> Self {
        let driver = Arc::new(driver);
        let info = driver.autorelease_pool(|| driver.info());
        Self {
            heartbeat: None,
            residency: Arc::new(Mutex::new(Residency::new(info.working_set_bytes))),
            state: Mutex::new(State {
                in_flight: InFlight::default(),
                mappings: Vec::new(),
                pipelines: Vec::new(),
                resolved: Vec::new(),
            }),
            info,
            driver,
        }
    }

    /// Starts a thread that keeps memory wired for some minutes after each use.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start_heartbeat(&mut self) -> Result<(), DeviceError> {
        let heartbeat = Heartbeat::start(self.beat());
        self.heartbeat = Some(heartbeat.map_err(|error| {
            DeviceError(format!(
                "cannot start the thread that keeps memory wired: {error}"
            ))
        })?);
        Ok(())
    }

    /// What the thread does.
    pub fn beat(&self) -> impl FnMut() + Send + 'static {
        let driver = Arc::clone(&self.driver);
        let residency = Arc::clone(&self.residency);
        move || driver.autorelease_pool(|| lock(&residency).keep())
    }

    fn used(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.used();
        }
    }
}

impl<D: Driver> State<D> {
    fn check(&mut self, commands: &Commands<'_>) -> Result<(), DeviceError> {
        self.resolved.clear();
        for (pipeline, _, dispatch) in commands.dispatches {
            check::dispatch(
                *pipeline,
                dispatch,
                &self.pipelines,
                &self.mappings,
                &mut self.resolved,
            )?;
        }
        Ok(())
    }

    /// Encodes dispatches that have been checked.
    fn encode(&self, encoder: &mut D::Encoder, commands: &Commands<'_>) {
        let mut current = None;
        let mut resolved = self.resolved.iter();
        for (number, (pipeline, barrier, dispatch)) in commands.dispatches.iter().enumerate() {
            // A command buffer waits for memory that earlier ones write.
            if *barrier && number > 0 {
                encoder.barrier();
            }
            if current != Some(*pipeline) {
                encoder.set_pipeline(&self.pipelines[pipeline.0 as usize]);
                current = Some(*pipeline);
            }
            encoder.set_bytes(0, &dispatch.arguments);
            for (binding, place) in dispatch.bindings.iter().zip(&mut resolved) {
                let view = &self.mappings[place.mapping].views[place.view];
                encoder.set_buffer(binding.index, &view.buffer, place.offset);
            }
            encoder.dispatch(dispatch.threadgroups, dispatch.threads);
        }
    }
}

impl<D: Driver> Device for Gpu<D> {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    unsafe fn map(&self, pointer: *mut u8, bytes: usize) -> Result<BufferId, DeviceError> {
        let page = self.driver.page_bytes();
        let start = NonNull::new(pointer)
            .filter(|start| start.addr().get().is_multiple_of(page))
            .filter(|_| bytes > 0 && bytes.is_multiple_of(page))
            .ok_or_else(|| {
                DeviceError(format!(
                    "{bytes} bytes at {pointer:p} are not whole pages of {page} bytes"
                ))
            })?;
        self.driver.autorelease_pool(|| {
            let mut views = Vec::new();
            for range in views::split(bytes, self.info.max_buffer_bytes, page) {
                // SAFETY: views are whole pages inside the memory, which stays mapped by the contract of this method.
                let buffer = unsafe { self.driver.buffer(start.add(range.start), range.len()) }?;
                views.push(View {
                    range,
                    buffer,
                    residency_set: None,
                });
            }
            let mut residency = lock(&self.residency);
            for view in &mut views {
                let bytes = view.range.len();
                view.residency_set = residency.add(&*self.driver, &view.buffer, bytes);
            }
            drop(residency);
            let mut state = lock(&self.state);
            let mapping = Mapping { bytes, views };
            let is_free = |mapping: &Mapping<_>| mapping.views.is_empty();
            let free = state.mappings.iter().position(is_free);
            let number = free.unwrap_or(state.mappings.len());
            if number == state.mappings.len() {
                state.mappings.push(mapping);
            } else {
                state.mappings[number] = mapping;
            }
            Ok(BufferId(number as u32))
        })
    }

    fn unmap(&self, buffer: BufferId) {
        self.driver.autorelease_pool(|| {
            let mut state = lock(&self.state);
            let Some(mapping) = state.mappings.get_mut(buffer.0 as usize) else {
                return;
            };
            mapping.bytes = 0;
            let mut residency = lock(&self.residency);
            for view in mapping.views.drain(..) {
                if let Some(set) = view.residency_set {
                    residency.remove(set, &view.buffer, view.range.len());
                }
            }
        });
    }

    fn compile(
        &self,
        source: Source,
        text: &str,
        host_names: &[String],
    ) -> Result<Vec<PipelineId>, DeviceError> {
        // Without the lock: libraries can be compiled on several threads.
        let driver = &self.driver;
        let pipelines =
            driver.autorelease_pool(|| driver.compile(text, source.has_fast_math(), host_names))?;
        let mut state = lock(&self.state);
        let first = state.pipelines.len();
        state.pipelines.extend(pipelines);
        let ids = first..state.pipelines.len();
        Ok(ids.map(|id| PipelineId(id as u32)).collect())
    }

    fn submit(&self, commands: &Commands<'_>) -> Result<SubmissionId, DeviceError> {
        self.driver.autorelease_pool(|| {
            let mut state = lock(&self.state);
            state.check(commands)?;
            state.in_flight.reserve()?;
            lock(&self.residency).request();
            self.used();
            let mut encoder = self.driver.encoder()?;
            state.encode(&mut encoder, commands);
            Ok(SubmissionId(state.in_flight.push(encoder.commit())))
        })
    }

    fn wait(&self, submission: SubmissionId) -> Result<(), DeviceError> {
        let ended = self
            .driver
            .autorelease_pool(|| lock(&self.state).in_flight.wait(submission.0));
        self.used();
        ended
    }
}

impl<D: Driver> Drop for Gpu<D> {
    fn drop(&mut self) {
        self.heartbeat = None;
        self.driver.autorelease_pool(|| {
            let mut state = lock(&self.state);
            // Running work uses memory that the owner frees next. Its results are not needed any more.
            let last = state.in_flight.last();
            let _ = state.in_flight.wait(last);
            lock(&self.residency).clear();
            state.mappings.clear();
            state.pipelines.clear();
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
