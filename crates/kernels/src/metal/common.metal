// Helpers of all kernels. Conventions:
// - MSL 3.1; free functions; no bfloat, no NaN or infinity, no sin or cos.
// - buffer(0) is the argument structure in constant memory; its members are 4 bytes each (uint, int, float), so that the
//   layout is that of a repr(C) structure in Rust.
// - Activations are float, [rows, width], contiguous. A SIMD group has 32 threads.
#include <metal_stdlib>

using namespace metal;

// bf16 as it is stored.
struct bf16 {
    ushort bits;
};

inline float to_float(bf16 value) { return as_type<float>(uint(value.bits) << 16); }

inline float load_float(device const float *from) { return *from; }
inline float load_float(device const half *from) { return float(*from); }
inline float load_float(device const bf16 *from) { return to_float(bf16{from->bits}); }
inline float load_float(device const uchar *from) { return float(*from); }

// The sum over the threads of the threadgroup, in the order of its SIMD groups. `sums` has an element for each.
inline float threadgroup_sum(float value, threadgroup float *sums, uint simdgroup, uint simdgroups, uint lane) {
    value = simd_sum(value);
    if (lane == 0) {
        sums[simdgroup] = value;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0.0f;
    for (uint index = 0; index < simdgroups; index++) {
        total += sums[index];
    }
    // The next sum writes to the same memory.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return total;
}
