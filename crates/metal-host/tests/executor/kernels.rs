//! Small kernels, one for each part of the language.

use crate::support::{Buffers, ORDERS, library};
use mlxm_metal_host::{AddressSpace, Constant, Library, Options, Order};

const MATVEC: &str = r"
#include <metal_stdlib>
using namespace metal;

kernel void matvec(
    device const half *w [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device float *y [[buffer(2)]],
    constant uint &k [[buffer(3)]],
    uint row [[threadgroup_position_in_grid]],
    uint tid [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint sg [[simdgroup_index_in_threadgroup]],
    uint n [[threads_per_threadgroup]]) {
  threadgroup float partial[32];
  device const half *row_of_w = w + row * k;
  float sum = 0.0f;
  for (uint i = tid * 4; i < k; i += n * 4) {
    float4 a = float4(*(device const half4 *)(row_of_w + i));
    sum += dot(a, *(device const float4 *)(x + i));
  }
  sum = simd_sum(sum);
  if (lane == 0) partial[sg] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (sg == 0) {
    float v = lane < n / 32 ? partial[lane] : 0.0f;
    v = simd_sum(v);
    if (lane == 0) y[row] = v;
  }
}
";

#[test]
fn a_reduction_over_a_threadgroup_gives_the_sum_in_every_order() {
    let function = library(MATVEC).function("matvec", &[]).unwrap();
    assert_eq!(function.static_threadgroup_memory_bytes(), 128);
    let (rows, columns) = (5, 640);
    let w: Vec<half::f16> = (0..rows * columns)
        .map(|i| half::f16::from_f32((i % 13) as f32 - 6.0))
        .collect();
    let x: Vec<f32> = (0..columns).map(|i| (i % 7) as f32 - 3.0).collect();
    let expected: Vec<f32> = (0..rows)
        .map(|row| {
            (0..columns)
                .map(|i| w[row * columns + i].to_f32() * x[i])
                .sum()
        })
        .collect();
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.add(0, &w);
        buffers.add(1, &x);
        buffers.add(2, &vec![f32::NAN; rows]);
        buffers.add(3, &[columns as u32]);
        buffers
            .run(&function, [rows, 1, 1], [128, 1, 1], order)
            .unwrap();
        assert_eq!(buffers.read::<f32>(2), expected, "{order:?}");
    }
}

#[test]
fn arguments_are_described() {
    let function = library(MATVEC).function("matvec", &[]).unwrap();
    let buffers: Vec<_> = function
        .buffers()
        .map(|argument| {
            (
                argument.index,
                argument.name.as_str(),
                argument.address_space,
                argument.constant,
            )
        })
        .collect();
    assert_eq!(
        buffers,
        [
            (0, "w", AddressSpace::Device, true),
            (1, "x", AddressSpace::Device, true),
            (2, "y", AddressSpace::Device, false),
            (3, "k", AddressSpace::Constant, true),
        ]
    );
    assert_eq!(function.max_total_threads_per_threadgroup(), 1024);
}

const TEMPLATES: &str = r#"
#include <metal_stdlib>
using namespace metal;

constant bool negate [[function_constant(0)]];
constant int offset [[function_constant(1)]];
constant bool has_bias [[function_constant(2)]];
constant float scale [[function_constant(3)]];

template <typename T, int N>
[[kernel, max_total_threads_per_threadgroup(N * 32)]] void add(
    device T *y,
    constant T *bias [[function_constant(has_bias)]],
    threadgroup float *scratch [[threadgroup(0)]],
    uint2 position [[thread_position_in_grid]],
    uint2 size [[threads_per_grid]]) {
  uint i = position.y * size.x + position.x;
  scratch[i] = float(y[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float v = scratch[size.x * size.y - 1 - i] + offset;
  if (has_bias) v += float(bias[i]);
  y[i] = T((negate ? -v : v) * scale);
}

#define instantiate(name, type, n) \
  template [[host_name("add_" #name)]] [[kernel]] decltype(add<type, n>) add<type, n>;
instantiate(float, float, 1)
instantiate(int_2, int, 2)
"#;

#[test]
fn templates_get_host_names_and_function_constants() {
    let library = library(TEMPLATES);
    assert_eq!(library.function_names(), ["add_float", "add_int_2"]);
    let values = [
        (0, Constant::Bool(true)),
        (1, Constant::Int(10)),
        (2, Constant::Bool(false)),
        (3, Constant::Float(2.0)),
    ];
    let function = library.function("add_int_2", &values).unwrap();
    assert_eq!(function.max_total_threads_per_threadgroup(), 64);
    assert_eq!(function.buffers().count(), 1);
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.add(0, &[1i32, 2, 3, 4, 5, 6]);
        buffers.threadgroup_memory(0, 32);
        buffers.run(&function, [1, 1, 1], [3, 2, 1], order).unwrap();
        assert_eq!(
            buffers.read::<i32>(0),
            [-32, -30, -28, -26, -24, -22],
            "{order:?}"
        );
    }
    let mut with_bias = values;
    with_bias[0] = (0, Constant::Bool(false));
    with_bias[2] = (2, Constant::Bool(true));
    let function = library.function("add_float", &with_bias).unwrap();
    assert_eq!(function.max_total_threads_per_threadgroup(), 32);
    let mut buffers = Buffers::new();
    buffers.add(0, &[1.0f32, 2.0]);
    buffers.add(1, &[100.0f32, 200.0]);
    buffers.threadgroup_memory(0, 16);
    buffers
        .run(&function, [1, 1, 1], [2, 1, 1], Order::Forward)
        .unwrap();
    assert_eq!(buffers.read::<f32>(0), [224.0, 422.0]);
}

#[test]
fn a_missing_function_constant_is_named() {
    let values = [
        (0, Constant::Bool(true)),
        (2, Constant::Bool(false)),
        (3, Constant::Float(1.0)),
    ];
    let error = library(TEMPLATES)
        .function("add_float", &values)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("offset"), "{error}");
}

#[test]
fn errors_have_the_lines_of_the_source() {
    let source = "#include <metal_stdlib>\nusing namespace metal;\n#define TWICE(x) \\\n  (x + x)\nkernel void f(device float *x) {\n\
                  \n  x[0] = TWICE(x[1]);\n  x[0] = undeclared;\n}\n";
    let error = Library::compile(source, &Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("source.metal:8"), "{error}");
    let source = "kernel void f(device float *x [[bufer(0)]]) {\n}\n";
    let error = Library::compile(source, &Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("source.metal:1: unknown attribute `bufer`"),
        "{error}"
    );
}
