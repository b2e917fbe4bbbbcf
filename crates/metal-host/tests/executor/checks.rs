//! Mistakes that the executor must find.

use crate::support::{Buffers, ORDERS, library};
use mlxm_metal_host::{Bound, Dispatch, Error, Function, Library, Options, Order, run};

fn function(source: &str) -> Function {
    library(source).function("f", &[]).unwrap()
}

fn sanitized(source: &str) -> Function {
    let options = Options {
        sanitize: true,
        optimize: false,
        ..Options::default()
    };
    Library::compile(source, &options)
        .unwrap()
        .function("f", &[])
        .unwrap()
}

/// Runs one threadgroup with a buffer of as many floats as threads.
fn run_one(function: &Function, threads: usize, order: Order) -> Result<Vec<f32>, Error> {
    let mut buffers = Buffers::new();
    buffers.add(0, &vec![0.0f32; threads]);
    buffers.run(function, [1, 1, 1], [threads, 1, 1], order)?;
    Ok(buffers.read(0))
}

fn error(function: &Function, threads: usize) -> String {
    run_one(function, threads, Order::Forward)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_barrier_that_some_threads_do_not_reach_is_an_error_in_its_line() {
    let returned = function(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          if (i >= 40) return;
          threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          x[i] = i;
        }",
    );
    let message = error(&returned, 64);
    assert!(
        message.contains("source.metal:3: 40 threads wait"),
        "{message}"
    );
    assert!(run_one(&returned, 40, Order::Forward).is_ok());

    let different = function(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          if (i < 32)
            threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          else
            threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          x[i] = i;
        }",
    );
    let message = error(&different, 64);
    assert!(
        message.contains("source.metal:3") && message.contains("line 5"),
        "{message}"
    );
}

#[test]
fn a_simdgroup_barrier_that_some_lanes_do_not_reach_is_an_error() {
    let function = function(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          if (i != 5) simdgroup_barrier(metal::mem_flags::mem_none);
          x[i] = metal::simd_sum(x[i]);
        }",
    );
    let message = error(&function, 32);
    assert!(
        message.contains("source.metal:2: not all lanes"),
        "{message}"
    );
}

#[test]
fn matrix_operations_need_all_lanes() {
    let function = function(
        "kernel void f(device float *x) {
          metal::simdgroup_float8x8 a(1.0f), b(1.0f);
          metal::simdgroup_multiply(a, a, b);
          x[0] = a.thread_elements()[0];
        }",
    );
    let message = error(&function, 20);
    assert!(
        message.contains("source.metal:3: a simdgroup matrix operation needs all 32 lanes"),
        "{message}"
    );
}

#[test]
fn a_missing_barrier_gives_wrong_results_in_some_order() {
    let source = |barrier: &str| {
        format!(
            "kernel void f(device float *x, uint i [[thread_position_in_grid]], uint n [[threads_per_grid]]) {{
              threadgroup float shared[128];
              shared[i] = i + 1;
              {barrier}
              x[i] = shared[n - 1 - i];
            }}"
        )
    };
    let expected: Vec<f32> = (1..=128).rev().map(|i| i as f32).collect();
    let correct = function(&source(
        "threadgroup_barrier(metal::mem_flags::mem_threadgroup);",
    ));
    for order in ORDERS {
        assert_eq!(
            run_one(&correct, 128, order).unwrap(),
            expected,
            "{order:?}"
        );
    }
    for mistake in ["", "simdgroup_barrier(metal::mem_flags::mem_threadgroup);"] {
        let wrong = function(&source(mistake));
        let differs = |&order: &Order| run_one(&wrong, 128, order).unwrap() != expected;
        assert!(ORDERS.iter().any(differs), "{mistake}");
    }
}

/// Only a random order shows this one: each lane reads what the lane before it has written, or not.
#[test]
fn a_race_between_neighbours_is_found_by_changing_the_order() {
    let function = function(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          x[i] = i + 1;
          if (i > 0) x[i] += x[i - 1];
        }",
    );
    let results: Vec<_> = ORDERS
        .iter()
        .map(|&order| run_one(&function, 64, order).unwrap())
        .collect();
    assert!(results.iter().any(|result| *result != results[0]));
}

#[test]
fn dispatches_of_an_interval_run_in_every_order() {
    let function = function(
        "kernel void f(device float *y [[buffer(0)]], constant float &value [[buffer(1)]]) { y[0] = y[0] * 2 + value; }",
    );
    let mut results = Vec::new();
    for order in [
        Order::Forward,
        Order::Reverse,
        Order::Random(3),
        Order::Random(4),
    ] {
        let mut y = 0.0f32;
        let mut values = [1.0f32, 2.0];
        let dispatches = values.each_mut().map(|value| Dispatch {
            function: &function,
            buffers: vec![
                Bound {
                    index: 0,
                    pointer: (&raw mut y).cast(),
                    bytes: 4,
                },
                Bound {
                    index: 1,
                    pointer: (&raw mut *value).cast(),
                    bytes: 4,
                },
            ],
            threadgroup_memory: Vec::new(),
            threadgroups: [1, 1, 1],
            threads: [1, 1, 1],
        });
        // SAFETY: the buffers are used by these dispatches alone.
        unsafe { run(&dispatches, order) }.unwrap();
        results.push(y);
    }
    assert_eq!(results[..2], [4.0, 5.0]);
}

#[test]
fn threadgroup_memory_is_undefined_at_the_start_of_each_threadgroup() {
    let source = "kernel void f(device float *x, threadgroup float *dynamic [[threadgroup(0)]], uint i [[thread_position_in_grid]]) {
          threadgroup float variable;
          x[2 * i] = variable;
          x[2 * i + 1] = dynamic[3];
          variable = 1;
          dynamic[3] = 1;
        }";
    for (fast_math, expected) in [(false, f32::NAN), (true, 1e30)] {
        let options = Options {
            fast_math,
            ..Options::default()
        };
        let function = Library::compile(source, &options)
            .unwrap()
            .function("f", &[])
            .unwrap();
        let mut buffers = Buffers::new();
        buffers.add(0, &[0.0f32; 6]);
        buffers.threadgroup_memory(0, 16);
        buffers
            .run(&function, [3, 1, 1], [1, 1, 1], Order::Forward)
            .unwrap();
        let same = |value: &f32| *value == expected || value.is_nan() && expected.is_nan();
        assert!(
            buffers.read::<f32>(0).iter().all(same),
            "{:?}",
            buffers.read::<f32>(0)
        );
    }
}

#[test]
fn limits_of_metal_are_errors() {
    let limited = library(
        "[[max_total_threads_per_threadgroup(64)]] kernel void f(device float *x, uint i [[thread_position_in_grid]]) { x[i] = i; }",
    );
    let limited = limited.function("f", &[]).unwrap();
    assert!(run_one(&limited, 64, Order::Forward).is_ok());
    assert!(error(&limited, 65).contains("65 threads per threadgroup exceed 64"));

    let plain = function(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) { x[i] = i; }",
    );
    assert!(error(&plain, 1025).contains("1025 threads per threadgroup exceed 1024"));

    let large = function(
        "kernel void f(device float *x, threadgroup float *y [[threadgroup(0)]]) { threadgroup float z[8000]; z[0] = 1; x[0] = z[0] + y[0]; }",
    );
    let run_with = |bytes| {
        let mut buffers = Buffers::new();
        buffers.add(0, &[0.0f32]);
        buffers.threadgroup_memory(0, bytes);
        buffers
            .run(&large, [1, 1, 1], [1, 1, 1], Order::Forward)
            .map_err(|error| error.to_string())
    };
    assert_eq!(large.static_threadgroup_memory_bytes(), 32000);
    assert!(run_with(768).is_ok());
    assert!(
        run_with(784)
            .unwrap_err()
            .contains("32784 bytes of threadgroup memory exceed 32768")
    );
    assert!(run_with(100).unwrap_err().contains("multiple of 16"));
}

#[test]
fn bindings_must_fit_the_arguments() {
    let function = function(
        "kernel void f(device float4 *x [[buffer(0)]], constant uint2 &n [[buffer(2)]]) { x[0] = n.x; }",
    );
    let bind = |bindings: &[(usize, usize)]| {
        let mut buffers = Buffers::new();
        for &(index, bytes) in bindings {
            buffers.add(index, &vec![0u8; bytes]);
        }
        let result = buffers.run(&function, [1, 1, 1], [1, 1, 1], Order::Forward);
        result.map_err(|error| error.to_string())
    };
    assert!(bind(&[(0, 16), (2, 8)]).is_ok());
    assert!(
        bind(&[(0, 16)])
            .unwrap_err()
            .contains("`n`, buffer index 2, is not bound")
    );
    assert!(
        bind(&[(0, 16), (2, 8), (1, 4)])
            .unwrap_err()
            .contains("no argument has the buffer index 1")
    );
    assert!(
        bind(&[(0, 16), (2, 8), (2, 8)])
            .unwrap_err()
            .contains("bound twice")
    );
    assert!(
        bind(&[(0, 16), (2, 4)])
            .unwrap_err()
            .contains("bound to 4 bytes and needs 8")
    );
}

/// Runs the test again with the sanitizers' runtime, and returns what it reports.
fn report_of(test: &str) -> String {
    let output = mlxm_metal_host::sanitizer::rerun(&format!("checks::{test}")).unwrap();
    let report = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{report}");
    report
}

#[test]
fn accesses_outside_of_a_buffer_are_reported_with_their_line() {
    if mlxm_metal_host::sanitizer::is_active() {
        let function = sanitized(
            "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
              float next = x[i + 1];
              x[i] = metal::simd_sum(next);
            }",
        );
        let _ = run_one(&function, 32, Order::Forward);
        return;
    }
    let report = report_of("accesses_outside_of_a_buffer_are_reported_with_their_line");
    assert!(
        report.contains("heap-buffer-overflow") && report.contains("source.metal:2"),
        "{report}"
    );
}

#[test]
fn accesses_outside_of_threadgroup_memory_are_reported() {
    if mlxm_metal_host::sanitizer::is_active() {
        let function = sanitized(
            "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
              threadgroup float a[32];
              threadgroup float b[32];
              b[i] = i;
              threadgroup_barrier(metal::mem_flags::mem_threadgroup);
              threadgroup float *next = a + i + 1;
              *next = b[i];
              x[i] = a[i];
            }",
        );
        let _ = run_one(&function, 32, Order::Forward);
        return;
    }
    let report = report_of("accesses_outside_of_threadgroup_memory_are_reported");
    assert!(
        report.contains("heap-buffer-overflow") && report.contains("source.metal:7"),
        "{report}"
    );
}

#[test]
fn undefined_behaviour_is_reported() {
    if mlxm_metal_host::sanitizer::is_active() {
        let function = sanitized(
            "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
              x[i] = ((device packed_half2 *)x)[0].x + (1 << (i + 31));
            }",
        );
        let _ = run_one(&function, 8, Order::Forward);
        return;
    }
    let report = report_of("undefined_behaviour_is_reported");
    assert!(
        report.contains("shift exponent 32") && report.contains("source.metal:2"),
        "{report}"
    );
}

/// Fibers, errors that abandon them and correct kernels must not be reported.
#[test]
fn correct_kernels_pass_the_sanitizers() {
    const NAME: &str = "checks::correct_kernels_pass_the_sanitizers";
    if !mlxm_metal_host::sanitizer::is_active() {
        let output = mlxm_metal_host::sanitizer::rerun(NAME).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let good = sanitized(
        "static float local(thread float *values, uint i) { return metal::simd_sum(values[i % 8]); }
        kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          threadgroup float shared[64];
          float values[8];
          for (int j = 0; j < 8; j++) values[j] = i + j;
          shared[i] = local(values, 3);
          threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          x[i] = shared[63 - i];
        }",
    );
    let divergent = sanitized(
        "kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
          float values[8];
          for (int j = 0; j < 8; j++) values[j] = x[i] + j;
          if (i == 3) return;
          threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          x[i] = values[i % 8];
        }",
    );
    let sum = |first: usize| (first..first + 32).map(|i| (i + 3) as f32).sum::<f32>();
    let mut expected = vec![sum(32); 32];
    expected.extend(vec![sum(0); 32]);
    for order in ORDERS {
        assert_eq!(run_one(&good, 64, order).unwrap(), expected, "{order:?}");
        assert!(run_one(&divergent, 64, order).is_err());
    }
}
