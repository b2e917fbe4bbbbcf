//! What the executor records of the loads of kernels.

use crate::support::{Buffers, ORDERS};
use mlxm_metal_host::{Function, Library, Loads, Options, Order};

const SOURCE: &str = r"
#include <metal_stdlib>
using namespace metal;

// All threadgroups load the first 16 floats of x, and each loads one more.
kernel void shared_and_own(
    device const float *x [[buffer(0)]],
    device const uchar *y [[buffer(1)]],
    device float *out [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
  threadgroup float values[64];
  values[thread_index] = x[thread_index % 16];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint at = group * 64 + thread_index;
  out[at] = values[63 - thread_index] + x[16 + group] + float(y[at]);
}

kernel void sizes(device const uchar *x [[buffer(0)]], device float *out [[buffer(1)]]) {
  const ulong sum = x[0] + *(device const ushort *)(x + 2) + *(device const uint *)(x + 4) + *(device const ulong *)(x + 8);
  const float4 last = *(device const float4 *)(x + 16);
  out[0] = float(sum) + last.x + last.y + last.z + last.w;
}
";

fn function(name: &str, trace_loads: bool) -> Function {
    let options = Options {
        trace_loads,
        ..Options::default()
    };
    let library = Library::compile(SOURCE, &options).unwrap();
    library.function(name, &[]).unwrap()
}

fn buffers() -> Buffers {
    let mut buffers = Buffers::new();
    buffers.add(0, &[1.0_f32; 32]);
    buffers.add(1, &[1_u8; 256]);
    buffers.add(2, &[0.0_f32; 3 * 64]);
    buffers
}

fn loads(index: usize, threadgroup_bytes: usize, dispatch_bytes: usize) -> Loads {
    Loads {
        index,
        threadgroup_bytes,
        dispatch_bytes,
    }
}

#[test]
fn bytes_are_counted_once_for_each_threadgroup_in_every_order() {
    let function = function("shared_and_own", true);
    for order in ORDERS {
        let mut buffers = buffers();
        let loaded = buffers.run_traced(&function, [3, 1, 1], [64, 1, 1], order);
        let expected = [
            loads(0, 3 * (16 + 1) * 4, (16 + 3) * 4),
            loads(1, 3 * 64, 3 * 64),
            loads(2, 0, 0),
        ];
        assert_eq!(loaded, expected, "{order:?}");
        assert_eq!(buffers.read::<f32>(2), [3.0; 3 * 64]);
    }
}

#[test]
fn loads_of_1_to_16_bytes_are_counted() {
    let function = function("sizes", true);
    let mut buffers = Buffers::new();
    buffers.add(0, &[0_u64; 5]);
    buffers.add(1, &[1.0_f32]);
    let loaded = buffers.run_traced(&function, [1, 1, 1], [1, 1, 1], Order::Forward);
    assert_eq!(loaded[0], loads(0, 1 + 2 + 4 + 8 + 16, 31));
}

#[test]
fn kernels_that_are_compiled_without_the_option_have_no_loads() {
    let function = function("shared_and_own", false);
    let loaded = buffers().run_traced(&function, [3, 1, 1], [64, 1, 1], Order::Forward);
    assert_eq!(loaded, []);
}
