//! Kernels on the host device, and numbers to test them with.

use std::sync::Arc;

use mlxm_kernels::{ActivationDtype, CpuOptions, Kernels};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Options, Order};

/// Pseudorandom numbers (a linear congruential generator).
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Floats between -1 and 1.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        let unit = |word: u32| word as f32 / (1 << 30) as f32 - 1.0;
        (0..count).map(|_| unit(self.next())).collect()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// The CPU backend with activations of f32, as the device has them.
pub fn cpu() -> Kernels {
    Kernels::cpu(CpuOptions {
        threads: Some(1),
        activation_dtype: ActivationDtype::F32,
    })
}

/// A device that runs work when it is waited for.
pub fn device(order: Order, compile: Options) -> Arc<HostDevice> {
    Arc::new(HostDevice::new(HostDeviceOptions {
        compile,
        order,
        lazy: true,
    }))
}

/// Kernels in all orders, and with the arithmetic that Metal compilers use by default.
pub fn devices() -> Vec<Kernels> {
    let fast = Options {
        fast_math: true,
        flush_subnormals: true,
        ..Options::default()
    };
    [
        (Order::Forward, Options::default()),
        (Order::Reverse, Options::default()),
        (Order::Random(1), Options::default()),
        (Order::Random(2), fast),
    ]
    .into_iter()
    .map(|(order, compile)| Kernels::on_device(device(order, compile)))
    .collect()
}
