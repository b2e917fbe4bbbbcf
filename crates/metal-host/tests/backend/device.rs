//! Kernels on the host device and on the CPU.

use std::sync::Arc;

use mlxm_kernels::{ActivationDtype, CpuOptions, Kernels, metal::Source};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Options, Order};

/// Orders in which a fault of a kernel can show.
pub const ORDERS: [Order; 4] = [
    Order::Forward,
    Order::Reverse,
    Order::Random(1),
    Order::Random(2),
];

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

/// Whether `is_wrong` holds, in one of the orders at least, for kernels with `to` in place of `from`.
pub fn is_wrong_in_an_order(
    source: Source,
    from: &str,
    to: &str,
    is_wrong: impl Fn(&Kernels) -> bool,
) -> bool {
    ORDERS.into_iter().any(|order| {
        let options = HostDeviceOptions {
            compile: Options::default(),
            order,
            lazy: false,
        };
        let device = HostDevice::new(options).with_replacement(source, from, to);
        is_wrong(&Kernels::on_device(Arc::new(device)))
    })
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
