//! A driver that records its calls.

use std::{
    collections::{HashMap, HashSet},
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::metal::{
    Access, Binding, BufferId, BufferRange, Commands, Device, DeviceError, DeviceInfo, Dispatch,
    Kernel, PipelineId, Source,
    apple::{
        driver::{self, Status},
        gpu::Gpu,
    },
};

pub const PAGE: usize = 16 << 10;

/// A call to Metal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A buffer of this many bytes at this offset of the memory of the test.
    Buffer {
        number: usize,
        bytes: usize,
    },
    ReleaseBuffer(usize),
    Encoder(usize),
    SetPipeline(String),
    SetBytes(Vec<u8>),
    SetBuffer {
        index: u32,
        buffer: usize,
        offset: usize,
    },
    Barrier,
    Dispatch {
        threadgroups: [usize; 3],
        threads: usize,
    },
    Commit(usize),
    Wait(usize),
    NewSet(usize),
    Add {
        set: usize,
        buffer: usize,
    },
    Remove {
        set: usize,
        buffer: usize,
    },
    CommitSet(usize),
    Request(usize),
    End(usize),
}

/// What is shared between the driver, its objects and the test.
#[derive(Debug, Default)]
pub struct Log {
    pub calls: Vec<Call>,
    /// Command buffers that fail, with their messages.
    pub failing: HashMap<usize, String>,
    /// Command buffers that run until they are waited for.
    pub slow: HashSet<usize>,
    /// The encoder of this number cannot be created.
    pub missing_encoder: Option<usize>,
    pub sets_supported: bool,
    pub max_buffer_bytes: usize,
    pub working_set_bytes: u64,
    pools: usize,
    pub outside_pools: usize,
    buffers: usize,
    encoders: usize,
    sets: usize,
}

#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Log {
            sets_supported: true,
            max_buffer_bytes: 1 << 30,
            working_set_bytes: 100 * PAGE as u64 * 20,
            ..Log::default()
        })))
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    /// Whether no driver or object of one refers to the log.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn call(&self, call: Call) {
        let mut log = self.log();
        log.outside_pools += usize::from(log.pools == 0);
        log.calls.push(call);
    }

    /// The calls since the last time.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.log().calls)
    }

    /// Command buffers that were started and have not ended.
    pub fn running(&self) -> usize {
        let log = self.log();
        (0..log.encoders)
            .filter(|number| log.slow.contains(number))
            .count()
    }

    pub fn gpu(&self) -> Gpu<Fake> {
        Gpu::new(Fake(self.clone()))
    }
}

#[derive(Debug)]
pub struct Fake(Shared);

#[derive(Debug)]
pub struct Buffer {
    number: usize,
    shared: Shared,
}

#[derive(Debug)]
pub struct Pipeline(String);

#[derive(Debug)]
pub struct Encoder {
    number: usize,
    shared: Shared,
}

#[derive(Debug)]
pub struct CommandBuffer {
    number: usize,
    shared: Shared,
}

#[derive(Debug)]
pub struct Set {
    number: usize,
    shared: Shared,
}

/// Most threads of every pipeline.
pub const MAX_THREADS: usize = 256;

impl driver::Driver for Fake {
    type Buffer = Buffer;
    type Pipeline = Pipeline;
    type Encoder = Encoder;
    type ResidencySet = Set;

    fn info(&self) -> DeviceInfo {
        let log = self.0.log();
        DeviceInfo {
            name: "fake".into(),
            working_set_bytes: log.working_set_bytes,
            max_buffer_bytes: log.max_buffer_bytes,
            cores: 10,
        }
    }

    fn page_bytes(&self) -> usize {
        PAGE
    }

    fn autorelease_pool<R>(&self, body: impl FnOnce() -> R) -> R {
        self.0.log().pools += 1;
        let result = body();
        self.0.log().pools -= 1;
        result
    }

    unsafe fn buffer(&self, _: NonNull<u8>, bytes: usize) -> Result<Buffer, DeviceError> {
        let number = {
            let mut log = self.0.log();
            log.buffers += 1;
            log.buffers - 1
        };
        self.0.call(Call::Buffer { number, bytes });
        Ok(Buffer {
            number,
            shared: self.0.clone(),
        })
    }

    fn compile(
        &self,
        _: &str,
        _: bool,
        host_names: &[String],
    ) -> Result<Vec<Pipeline>, DeviceError> {
        Ok(host_names.iter().cloned().map(Pipeline).collect())
    }

    fn encoder(&self) -> Result<Encoder, DeviceError> {
        let number = {
            let mut log = self.0.log();
            if log.missing_encoder == Some(log.encoders) {
                return Err(DeviceError("no encoder".into()));
            }
            log.encoders += 1;
            log.encoders - 1
        };
        self.0.call(Call::Encoder(number));
        Ok(Encoder {
            number,
            shared: self.0.clone(),
        })
    }

    fn residency_set(&self) -> Option<Set> {
        let number = {
            let mut log = self.0.log();
            if !log.sets_supported {
                return None;
            }
            log.sets += 1;
            log.sets - 1
        };
        self.0.call(Call::NewSet(number));
        Some(Set {
            number,
            shared: self.0.clone(),
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shared.call(Call::ReleaseBuffer(self.number));
    }
}

impl driver::Pipeline for Pipeline {
    fn max_threads(&self) -> usize {
        MAX_THREADS
    }
}

impl driver::Encoder for Encoder {
    type Buffer = Buffer;
    type Pipeline = Pipeline;
    type CommandBuffer = CommandBuffer;

    fn set_pipeline(&mut self, pipeline: &Pipeline) {
        self.shared.call(Call::SetPipeline(pipeline.0.clone()));
    }

    fn set_bytes(&mut self, index: u32, bytes: &[u8]) {
        assert_eq!(index, 0);
        self.shared.call(Call::SetBytes(bytes.to_vec()));
    }

    fn set_buffer(&mut self, index: u32, buffer: &Buffer, offset: usize) {
        let buffer = buffer.number;
        self.shared.call(Call::SetBuffer {
            index,
            buffer,
            offset,
        });
    }

    fn barrier(&mut self) {
        self.shared.call(Call::Barrier);
    }

    fn dispatch(&mut self, threadgroups: [usize; 3], threads: usize) {
        self.shared.call(Call::Dispatch {
            threadgroups,
            threads,
        });
    }

    fn commit(self) -> CommandBuffer {
        self.shared.call(Call::Commit(self.number));
        CommandBuffer {
            number: self.number,
            shared: self.shared.clone(),
        }
    }
}

impl driver::CommandBuffer for CommandBuffer {
    fn status(&self) -> Status {
        let log = self.shared.log();
        if log.slow.contains(&self.number) {
            return Status::Running;
        }
        let failure = log.failing.get(&self.number);
        failure.map_or(Status::Completed, |message| Status::Failed(message.clone()))
    }

    fn wait(&self) {
        // The command buffers of a queue end in their order.
        self.shared
            .log()
            .slow
            .retain(|number| *number > self.number);
        self.shared.call(Call::Wait(self.number));
    }
}

impl driver::ResidencySet for Set {
    type Buffer = Buffer;

    fn add(&mut self, buffer: &Buffer) {
        let (set, buffer) = (self.number, buffer.number);
        self.shared.call(Call::Add { set, buffer });
    }

    fn remove(&mut self, buffer: &Buffer) {
        let (set, buffer) = (self.number, buffer.number);
        self.shared.call(Call::Remove { set, buffer });
    }

    fn commit(&mut self) {
        self.shared.call(Call::CommitSet(self.number));
    }

    fn request(&mut self) {
        self.shared.call(Call::Request(self.number));
    }

    fn end(&mut self) {
        self.shared.call(Call::End(self.number));
    }
}

/// Maps this many pages, at an address that is never accessed.
pub fn map(gpu: &Gpu<Fake>, pages: usize) -> Result<BufferId, DeviceError> {
    let pointer = std::ptr::without_provenance_mut(PAGE);
    // SAFETY: the driver does not access the memory.
    unsafe { gpu.map(pointer, pages * PAGE) }
}

/// Compiles a kernel.
pub fn compile(gpu: &Gpu<Fake>, names: &[&str]) -> Vec<PipelineId> {
    let names = names.iter().map(|name| (*name).to_owned());
    gpu.compile(Source::Misc, "", &names.collect::<Vec<_>>())
        .unwrap()
}

/// A dispatch with one argument, which reads the first bytes of a buffer and writes the following ones.
pub fn dispatch(argument: u8, buffer: BufferId) -> Dispatch {
    let binding = |index, offset, access| Binding {
        index,
        range: BufferRange {
            buffer,
            offset,
            bytes: 64,
        },
        access,
    };
    Dispatch {
        kernel: Kernel::new(Source::Misc, "kernel", &[]),
        arguments: vec![argument; 4],
        bindings: vec![binding(1, 0, Access::Read), binding(2, 64, Access::Write)],
        threadgroups: [2, 3, 1],
        threads: 64,
    }
}

/// `count` dispatches, of which every `period`th waits for earlier ones.
pub fn dispatches(
    pipeline: PipelineId,
    buffer: BufferId,
    count: usize,
    period: usize,
) -> Vec<(PipelineId, bool, Dispatch)> {
    (0..count)
        .map(|number| {
            let barrier = number > 0 && number % period == 0;
            (pipeline, barrier, dispatch(number as u8, buffer))
        })
        .collect()
}

/// Submits and waits.
pub fn run(
    gpu: &Gpu<Fake>,
    dispatches: &[(PipelineId, bool, Dispatch)],
) -> Result<(), DeviceError> {
    let submission = gpu.submit(&Commands { dispatches })?;
    gpu.wait(submission)
}
