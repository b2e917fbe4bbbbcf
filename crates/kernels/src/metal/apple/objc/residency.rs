//! Residency sets of macOS 15 and later.

use candle_metal_kernels::metal::{Buffer, CommandQueue, Device};
use objc2::{available, rc::Retained, runtime::ProtocolObject};
use objc2_metal::{
    MTLAllocation, MTLCommandQueue, MTLDevice, MTLResidencySet, MTLResidencySetDescriptor,
};

use crate::metal::apple::driver;

/// A set that a queue uses.
#[derive(Debug)]
pub struct ResidencySet(Retained<ProtocolObject<dyn MTLResidencySet>>);

// SAFETY: the set is used by one thread at a time, since its methods need `&mut`; Metal's objects do not belong to a thread.
unsafe impl Send for ResidencySet {}

impl ResidencySet {
    /// A set, unless the system has none.
    pub fn new(device: &Device, queue: &CommandQueue) -> Option<Self> {
        // The class does not exist on older systems.
        if !available!(macos = 15.0) {
            return None;
        }
        let descriptor = MTLResidencySetDescriptor::new();
        let set = device
            .as_ref()
            .newResidencySetWithDescriptor_error(&descriptor)
            .ok()?;
        queue.addResidencySet(&set);
        Some(Self(set))
    }
}

impl driver::ResidencySet for ResidencySet {
    type Buffer = Buffer;

    fn add(&mut self, buffer: &Buffer) {
        self.0.addAllocation(allocation(buffer));
    }

    fn remove(&mut self, buffer: &Buffer) {
        self.0.removeAllocation(allocation(buffer));
    }

    fn commit(&mut self) {
        self.0.commit();
    }

    fn request(&mut self) {
        self.0.requestResidency();
    }

    fn end(&mut self) {
        self.0.endResidency();
    }
}

fn allocation(buffer: &Buffer) -> &ProtocolObject<dyn MTLAllocation> {
    ProtocolObject::from_ref(buffer.as_ref())
}
