//! Operations of the language, each against its definition.

use crate::support::{Buffers, ORDERS, library};
use half::f16;
use mlxm_metal_host::{Library, Options, Order};

/// Runs a kernel body on one threadgroup. `x` has a value per thread, `y` a result.
fn evaluate<I: Copy, O: Copy>(
    types: [&str; 2],
    body: &str,
    x: &[I],
    empty: O,
    order: Order,
) -> Vec<O> {
    let [input, output] = types;
    let source = format!(
        "#include <metal_stdlib>
        using namespace metal;
        kernel void f(device const {input} *x, device {output} *y, uint i [[thread_index_in_threadgroup]],
            uint lane [[thread_index_in_simdgroup]]) {{ {body} }}"
    );
    let function = library(&source).function("f", &[]).unwrap();
    let mut buffers = Buffers::new();
    buffers.add(0, x);
    buffers.add(1, &vec![empty; x.len()]);
    buffers
        .run(&function, [1, 1, 1], [x.len(), 1, 1], order)
        .unwrap();
    buffers.read(1)
}

fn check_lanes(body: &str, threads: usize, expected: impl Fn(usize) -> u32) {
    let x: Vec<u32> = (0..threads as u32).map(|i| i * i + 1).collect();
    let expected: Vec<u32> = (0..threads).map(expected).collect();
    for order in ORDERS {
        assert_eq!(
            evaluate(["uint", "uint"], body, &x, 0, order),
            expected,
            "{body} {order:?}"
        );
    }
}

#[test]
fn simdgroup_operations_read_the_right_lanes() {
    let x = |i: usize| (i * i + 1) as u32;
    check_lanes("y[i] = simd_sum(x[i]);", 64, |i| {
        (i / 32 * 32..i / 32 * 32 + 32).map(x).sum()
    });
    check_lanes("y[i] = simd_max(x[i]);", 64, |i| x(i / 32 * 32 + 31));
    check_lanes("y[i] = simd_min(x[i]);", 64, |i| x(i / 32 * 32));
    check_lanes("y[i] = simd_or(x[i]);", 32, |_| {
        (0..32).map(x).fold(0, |a, b| a | b)
    });
    check_lanes("y[i] = simd_shuffle(x[i], 31 - lane);", 64, |i| {
        x(i / 32 * 32 + 31 - i % 32)
    });
    check_lanes("y[i] = simd_shuffle_xor(x[i], 5);", 64, |i| x(i ^ 5));
    check_lanes("y[i] = simd_shuffle_down(x[i], 3);", 32, |i| {
        x(if i + 3 < 32 { i + 3 } else { i })
    });
    check_lanes("y[i] = simd_shuffle_up(x[i], 3);", 32, |i| {
        x(if i >= 3 { i - 3 } else { i })
    });
    check_lanes("y[i] = simd_shuffle_and_fill_up(x[i], 7u, 3);", 32, |i| {
        if i >= 3 { x(i - 3) } else { 7 }
    });
    check_lanes("y[i] = simd_shuffle_rotate_down(x[i], 3);", 32, |i| {
        x((i + 3) % 32)
    });
    check_lanes(
        "y[i] = simd_broadcast(x[i], 9);",
        64,
        |i| x(i / 32 * 32 + 9),
    );
    check_lanes("y[i] = simd_broadcast_first(x[i]);", 64, |i| x(i / 32 * 32));
    check_lanes("y[i] = simd_prefix_exclusive_sum(x[i]);", 32, |i| {
        (0..i).map(x).sum()
    });
    check_lanes("y[i] = simd_prefix_inclusive_sum(x[i]);", 32, |i| {
        (0..=i).map(x).sum()
    });
    check_lanes(
        "y[i] = uint(simd_vote::vote_t(simd_ballot(x[i] % 2 == 0)));",
        32,
        |_| 0xaaaa_aaaa,
    );
    check_lanes(
        "y[i] = simd_any(i == 40) + 2 * simd_all(i < 32);",
        64,
        |i| if i < 32 { 2 } else { 1 },
    );
    check_lanes("y[i] = quad_sum(x[i]);", 32, |i| {
        (i / 4 * 4..i / 4 * 4 + 4).map(x).sum()
    });
    check_lanes("y[i] = quad_shuffle_xor(x[i], 1);", 32, |i| x(i ^ 1));
    check_lanes("y[i] = quad_broadcast(x[i], 2);", 32, |i| x(i / 4 * 4 + 2));
}

#[test]
fn inactive_lanes_take_no_part() {
    // Twenty threads: lanes from 20 on do not exist.
    check_lanes("y[i] = simd_sum(1u);", 20, |_| 20);
    check_lanes("y[i] = simd_shuffle(i, 25);", 20, |_| u32::MAX);
    // A branch that some lanes take, and loops of different lengths.
    check_lanes(
        "y[i] = lane < 8 ? simd_sum(1u) : 100 + simd_sum(1u);",
        32,
        |i| if i < 8 { 8 } else { 124 },
    );
    check_lanes(
        "uint total = 0;
        for (uint j = 0; j < i % 3; j++) total += simd_sum(1u);
        y[i] = total + 1000 * simd_sum(1u);",
        32,
        |i| {
            // 21 lanes take the first turn, 10 the second; all are together again after the loop.
            32000 + [0, 21, 31][i % 3]
        },
    );
}

#[test]
fn sums_of_floats_do_not_depend_on_the_order() {
    let x: Vec<f32> = (0..96).map(|i| 1.0 / (i as f32 + 0.3)).collect();
    let sums = |order| {
        evaluate(
            ["float", "float"],
            "y[i] = simd_sum(x[i]);",
            &x,
            0.0f32,
            order,
        )
    };
    let first: Vec<u32> = sums(ORDERS[0]).iter().map(|x| x.to_bits()).collect();
    for order in ORDERS {
        let bits: Vec<u32> = sums(order).iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, first, "{order:?}");
    }
}

#[test]
fn half_is_rounded_after_each_operation() {
    let x: Vec<f16> = [1.0f32, 2048.0, 0.1, 60000.0].map(f16::from_f32).to_vec();
    let actual = evaluate(
        ["half", "half"],
        "y[i] = (x[i] + 1.0h) * x[i] - x[i];",
        &x,
        f16::ZERO,
        Order::Forward,
    );
    let expected: Vec<f16> = x
        .iter()
        .map(|&x| {
            let round = |value: f32| f16::from_f32(value).to_f32();
            let x = x.to_f32();
            f16::from_f32(round(round(x + 1.0) * x) - x)
        })
        .collect();
    // Contraction may skip the rounding of a product.
    let close =
        |(a, b): (&f16, &f16)| a == b || (a.to_f32() - b.to_f32()).abs() <= b.to_f32().abs() * 2e-3;
    assert!(
        actual.iter().zip(&expected).all(close),
        "{actual:?} {expected:?}"
    );
    let sums = evaluate(
        ["half", "half"],
        "half s = x[i]; s += 1.0h; s += 1.0h; y[i] = s;",
        &x,
        f16::ZERO,
        Order::Forward,
    );
    assert_eq!(sums[1].to_f32(), 2048.0);
}

#[test]
fn vectors_have_swizzles_constructors_and_operators() {
    let body = "
        float4 v = *(device const float4 *)x;
        v.xy = v.yx;
        v.zw += float2(10);
        float3 w(v.x, v.wz);
        half4 h = half4(v);
        packed_float3 p = w;
        bool3 greater = w > 12;
        float4 all[7] = {v, v.wzyx, float4(w, 1), float4(h), float4(p[0], p[1], p[2], dot(v, v)),
                         float4(select(v, -v, v < 3)), float4(float3(greater), any(greater))};
        all[1].r *= 2;
        all[2][3] -= 4;
        for (int j = 0; j < 4; j++) y[i * 4 + j] = all[i][j];";
    let source = format!(
        "#include <metal_stdlib>
        using namespace metal;
        kernel void f(device const float *x, device float *y, uint i [[thread_position_in_grid]]) {{ {body} }}"
    );
    let function = library(&source).function("f", &[]).unwrap();
    let mut buffers = Buffers::new();
    buffers.add(0, &[1.0f32, 2.0, 3.0, 4.0]);
    buffers.add(1, &[0.0f32; 28]);
    buffers
        .run(&function, [1, 1, 1], [7, 1, 1], Order::Forward)
        .unwrap();
    let rows: Vec<[f32; 4]> = buffers.read(1);
    assert_eq!(rows[0], [2.0, 1.0, 13.0, 14.0]);
    assert_eq!(rows[1], [28.0, 13.0, 1.0, 2.0]);
    assert_eq!(rows[2], [2.0, 14.0, 13.0, -3.0]);
    assert_eq!(rows[3], [2.0, 1.0, 13.0, 14.0]);
    assert_eq!(rows[4], [2.0, 14.0, 13.0, 370.0]);
    assert_eq!(rows[5], [-2.0, -1.0, 13.0, 14.0]);
    assert_eq!(rows[6], [0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn simdgroup_matrices_multiply_with_mixed_types() {
    let source = "#include <metal_stdlib>
        using namespace metal;
        kernel void f(device const half *a, device const float *b, device float *d, threadgroup float *t [[threadgroup(0)]],
            uint lane [[thread_index_in_simdgroup]]) {
          for (uint i = lane; i < 96; i += 32) t[i] = i < 80 ? b[i] : 0;
          simdgroup_barrier(mem_flags::mem_threadgroup);
          simdgroup_half8x8 left;
          simdgroup_float8x8 right, transposed, sum = make_filled_simdgroup_matrix<float, 8>(2.0f);
          simdgroup_load(left, a, 8);
          simdgroup_load(right, t + 1, 10);
          simdgroup_load(transposed, a == nullptr ? b : b, 10, ulong2(1, 0), true);
          simdgroup_multiply_accumulate(sum, left, right, sum);
          simdgroup_store(sum, d, 8);
          simdgroup_store(transposed, d + 64, 8);
          simdgroup_float8x8 diagonal(3.0f);
          simdgroup_store(diagonal, d + 128, 8);
          diagonal.thread_elements()[1] = float(lane);
          simdgroup_store(diagonal, d + 192, 8);
        }";
    let function = library(source).function("f", &[]).unwrap();
    let a: Vec<f16> = (0..64)
        .map(|i| f16::from_f32((i % 11) as f32 - 5.0))
        .collect();
    let b: Vec<f32> = (0..80).map(|i| (i % 7) as f32 - 2.0).collect();
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.add(0, &a);
        buffers.add(1, &b);
        buffers.add(2, &[f32::NAN; 256]);
        buffers.threadgroup_memory(0, 384);
        buffers
            .run(&function, [1, 1, 1], [32, 1, 1], order)
            .unwrap();
        let d: Vec<f32> = buffers.read(2);
        for row in 0..8 {
            for column in 0..8 {
                let product = |k: usize| a[row * 8 + k].to_f32() * b[k * 10 + column + 1];
                assert_eq!(
                    d[row * 8 + column],
                    2.0 + (0..8).map(product).sum::<f32>(),
                    "{order:?}"
                );
                assert_eq!(d[64 + row * 8 + column], b[column * 10 + row + 1]);
                assert_eq!(
                    d[128 + row * 8 + column],
                    if row == column { 3.0 } else { 0.0 }
                );
            }
        }
        // Lane 9 holds row 4, columns 2 and 3: the map of MLX's fragments.
        assert_eq!(d[192 + 4 * 8 + 3], 17.0);
        assert_eq!(d[192 + 3 * 8 + 5], 14.0);
    }
}

#[test]
fn atomics_count_all_threads() {
    let source = "#include <metal_stdlib>
        using namespace metal;
        kernel void f(device atomic_uint *count, device atomic<int> *least, uint i [[thread_position_in_grid]]) {
          threadgroup atomic_uint shared;
          if (i % 40 == 0) atomic_store_explicit(&shared, 0u, memory_order_relaxed);
          threadgroup_barrier(mem_flags::mem_threadgroup);
          atomic_fetch_add_explicit(&shared, 1u, memory_order_relaxed);
          threadgroup_barrier(mem_flags::mem_threadgroup);
          if (i % 40 == 3) atomic_fetch_add_explicit(count, atomic_load_explicit(&shared, memory_order_relaxed), memory_order_relaxed);
          atomic_fetch_min_explicit(least, -int(i), memory_order_relaxed);
        }";
    let function = library(source).function("f", &[]).unwrap();
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.add(0, &[0u32]);
        buffers.add(1, &[0i32]);
        buffers
            .run(&function, [5, 1, 1], [40, 1, 1], order)
            .unwrap();
        assert_eq!(buffers.read::<u32>(0), [200], "{order:?}");
        assert_eq!(buffers.read::<i32>(1), [-199], "{order:?}");
    }
}

#[test]
fn positions_are_those_of_the_grid() {
    let source = "
        kernel void f(device uint *y, uint3 p [[thread_position_in_grid]], ushort3 l [[thread_position_in_threadgroup]],
            uint3 g [[threadgroup_position_in_grid]], uint3 n [[threads_per_threadgroup]], uint3 size [[threads_per_grid]],
            uint i [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]], uint s [[simdgroup_index_in_threadgroup]]) {
          bool same = p.x == g.x * n.x + l.x && p.y == g.y * n.y + l.y && p.z == g.z * n.z + l.z
              && i == (l.z * n.y + l.y) * n.x + l.x && i == s * 32 + lane;
          y[(p.z * size.y + p.y) * size.x + p.x] += same ? 1 : 100;
        }";
    let function = library(source).function("f", &[]).unwrap();
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.add(0, &vec![0u32; 2 * 3 * 4 * 5 * 7 * 2]);
        buffers.run(&function, [2, 3, 4], [5, 7, 2], order).unwrap();
        assert!(
            buffers.read::<u32>(0).iter().all(|&count| count == 1),
            "{order:?}"
        );
    }
}

#[test]
fn subnormal_floats_are_zero_if_asked() {
    let source = "kernel void f(device float *x) { x[0] = x[0] * 0.25f; }";
    for flush_subnormals in [false, true] {
        let options = Options {
            flush_subnormals,
            ..Options::default()
        };
        let function = Library::compile(source, &options)
            .unwrap()
            .function("f", &[])
            .unwrap();
        let mut buffers = Buffers::new();
        buffers.add(0, &[f32::MIN_POSITIVE]);
        buffers
            .run(&function, [1, 1, 1], [1, 1, 1], Order::Forward)
            .unwrap();
        assert_eq!(buffers.read::<f32>(0)[0] == 0.0, flush_subnormals);
        // The test's own arithmetic is as before.
        assert!(std::hint::black_box(f32::MIN_POSITIVE) * 0.25 > 0.0);
    }
}
