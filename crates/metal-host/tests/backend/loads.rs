//! What a decode step of every architecture loads of its weights: each byte once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use mlxm_engine::KvCacheDtype;
use mlxm_engine::models::supported;
use mlxm_kernels::metal::{Access, BufferRange, Source};
use mlxm_kernels::{KernelError, Kernels};
use mlxm_metal_host::{BindingLoads, DispatchLoads, HostDevice, HostDeviceOptions, Options, Order};

use crate::checkpoint::{Checkpoint, Runner};

/// Most bytes that are loaded, relative to those that are stored.
const LARGEST_RATIO: f64 = 1.05;

/// Texts of the kernel for one row, and those with which each threadgroup also reads the first row of a weight. `largest` is 0, but
/// the compiler does not know that.
pub const FIRST_ROW_AGAIN: [(&str, &str); 2] = [
    (
        "float dot = FORMAT == DENSE ? sums[row][r] : 0.0f;",
        "float dot = FORMAT == DENSE ? sums[row][r] : 0.0f; float again[VALUES];
        linear_load<FORMAT, BITS, GROUP, S>(side.codes, k, table, again);",
    ),
    (
        "dot = fma(scaled[row][i], values[i], dot);",
        "dot = fma(again[i], args.largest, fma(scaled[row][i], values[i], dot));",
    ),
];

/// A device that records loads, with texts that are replaced in the kernels of linear layers.
pub fn tracing_device(order: Order, replaced: &[(&str, &str)]) -> Arc<HostDevice> {
    let device = HostDevice::new(HostDeviceOptions {
        compile: Options {
            trace_loads: true,
            ..Options::default()
        },
        order,
        lazy: true,
    });
    let device = replaced.iter().fold(device, |device, (from, to)| {
        device.with_replacement(Source::Linear, from, to)
    });
    Arc::new(device)
}

/// What dispatches loaded of weights (values, scales and quantization biases) and of the biases of layers.
#[derive(Debug, Default)]
pub struct WeightLoads {
    /// Bytes of each threadgroup, added up.
    loaded: usize,
    /// Bytes of linear layers that no threadgroup loaded.
    missed: usize,
    /// Bytes of the biases of layers.
    biases: usize,
    /// Where the weights are.
    ranges: BTreeMap<u32, Vec<Range<usize>>>,
}

impl WeightLoads {
    pub fn of(dispatches: &[DispatchLoads]) -> Self {
        let mut all = Self::default();
        for dispatch in dispatches {
            let is_linear = dispatch.kernel.source == Source::Linear;
            if is_linear || dispatch.kernel.function == "embed" {
                all.add(is_linear, &dispatch.bindings);
            }
        }
        all
    }

    fn add(&mut self, is_linear: bool, bindings: &[BindingLoads]) {
        // An embedding has the same memory bound to arguments that a format does not have.
        let mut counted: Vec<BufferRange> = Vec::new();
        for BindingLoads {
            argument,
            binding,
            loads,
        } in bindings
        {
            let names = ["codes", "scales", "biases", "bias"];
            let name = names.iter().find(|name| argument.starts_with(*name));
            let (Some(name), Access::Constant) = (name, binding.access) else {
                continue;
            };
            let range = binding.range;
            if counted.contains(&range) {
                continue;
            }
            counted.push(range);
            self.loaded += loads.threadgroup_bytes;
            if is_linear {
                self.missed += range.bytes - loads.dispatch_bytes;
            }
            if *name == "bias" {
                self.biases += range.bytes;
            } else {
                let ranges = self.ranges.entry(range.buffer.0).or_default();
                ranges.push(range.offset..range.offset + range.bytes);
            }
        }
    }

    /// Bytes of the weights that were bound, each once.
    fn bound(mut self) -> usize {
        let mut bytes = 0;
        for ranges in self.ranges.values_mut() {
            ranges.sort_unstable_by_key(|range| range.start);
            let mut end = 0;
            for range in ranges {
                bytes += range.end.max(end) - range.start.max(end);
                end = end.max(range.end);
            }
        }
        bytes
    }

    /// Bytes that are loaded of each that is stored, if none is missed and few are loaded again. Weights are `stored`.
    pub fn ratio(&self, stored: usize) -> Result<f64, String> {
        let stored = stored + self.biases;
        let ratio = self.loaded as f64 / stored as f64;
        if self.missed > 0 {
            return Err(format!("{} bytes of {stored} are not loaded", self.missed));
        }
        if (1.0..=LARGEST_RATIO).contains(&ratio) {
            Ok(ratio)
        } else {
            Err(format!("{ratio:.3} times the stored bytes are loaded"))
        }
    }
}

/// The ratio of a step of one row.
fn decode(checkpoint: &Checkpoint, device: Arc<HostDevice>) -> Result<f64, String> {
    let step: [&[u32]; 2] = [&[7], &[]];
    let dtype = KvCacheDtype::F32;
    let kernels = Kernels::on_device(device.clone());
    let compiled = kernels.compile(|| {
        Runner::new(checkpoint, &kernels, dtype).logits(step);
        Ok::<(), KernelError>(())
    });
    compiled.map_err(|error| error.to_string())?;
    Runner::new(checkpoint, &kernels, dtype).step(step);
    let loads = WeightLoads::of(&device.take_loads());
    let counting = Kernels::counting();
    Runner::new(checkpoint, &counting, dtype).logits(step);
    let ops = counting.take_counts().remove(0).ops;
    let weights = ops
        .iter()
        .map(|op| op.weight_bytes + op.scale_bytes + op.bias_bytes);
    let ratio = loads.ratio(weights.sum())?;
    let (bound, stored) = (loads.bound(), checkpoint.matrix_bytes());
    if bound == stored {
        Ok(ratio)
    } else {
        Err(format!("{bound} bytes are used of {stored}"))
    }
}

/// One of two parts of the architectures, which run at the same time.
fn check_architectures(part: usize) {
    for (index, model_type) in supported().into_iter().enumerate() {
        if index % 2 == part {
            let checkpoint = Checkpoint::new(mlxm_testmodel::config(model_type), [4, 4], 32);
            let device = tracing_device(Order::Random(index as u64), &[]);
            let ratio = decode(&checkpoint, device);
            let ratio = ratio.unwrap_or_else(|error| panic!("{model_type}: {error}"));
            println!("{model_type}: {ratio:.3}");
        }
    }
}

#[test]
fn weights_of_architectures_of_the_first_part_are_loaded_once() {
    check_architectures(0);
}

#[test]
fn weights_of_architectures_of_the_second_part_are_loaded_once() {
    check_architectures(1);
}

#[test]
fn row_that_every_threadgroup_loads_is_noticed() {
    let checkpoint = Checkpoint::new(mlxm_testmodel::config("llama"), [4, 4], 32);
    let device = tracing_device(Order::Forward, &FIRST_ROW_AGAIN);
    let error = decode(&checkpoint, device).unwrap_err();
    assert!(error.contains("times the stored bytes"), "{error}");
}
