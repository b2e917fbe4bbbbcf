//! Sampling from logits, and the largest of them.

#![expect(clippy::unwrap_used, reason = "panics fail the test")]

use std::sync::atomic::{AtomicUsize, Ordering};

use mlxm_kernels::{CpuOptions, Kernels, Rows};

fn cpu() -> Kernels {
    Kernels::cpu(CpuOptions {
        threads: Some(2),
        ..CpuOptions::default()
    })
}

/// The numbers from 0 on.
fn ascending(kernels: &Kernels, rows: usize, width: usize) -> Rows {
    let values: Vec<f32> = (0..rows * width).map(|value| value as f32).collect();
    kernels.upload(&values, width).unwrap()
}

#[test]
fn sampling_visits_each_row_once() {
    let kernels = cpu();
    for count in [1, 2, 9, 40] {
        let x = ascending(&kernels, count, 3);
        let before = kernels.dispatches();
        let visits: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let pending = kernels.sample(x, None).unwrap();
        pending
            .for_each_row(|row, values, largest| {
                assert_eq!(largest, None);
                let first = row as f32 * 3.0;
                assert_eq!(values, [first, first + 1.0, first + 2.0]);
                values.fill(0.0);
                visits[row].fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        assert!(
            visits
                .iter()
                .all(|visits| visits.load(Ordering::Relaxed) == 1)
        );
        // Not counted as an operation.
        assert_eq!(kernels.dispatches(), before);
    }
}

#[test]
fn sampling_gets_the_first_largest_value_of_finite_rows() {
    const NAN: f32 = f32::NAN;
    const INFINITY: f32 = f32::INFINITY;
    let kernels = cpu();
    let values = [
        [1.0, 3.0, 3.0],
        [-0.0, 0.0, -1.0],
        [NAN, 1.0, 2.0],
        [1.0, INFINITY, 2.0],
        [-INFINITY; 3],
        [-INFINITY, f32::MIN, -INFINITY],
        [0.0, 1e-40, 0.0],
    ];
    let x = kernels.upload(values.as_flattened(), 3).unwrap();
    let mut pass = kernels.begin();
    let largest = pass.argmax(&x).unwrap();
    pass.finish().unwrap();
    let expected = [Some(1), Some(0), None, None, None, Some(1), Some(1)];
    let visits = AtomicUsize::new(0);
    let pending = kernels.sample(x, Some(largest)).unwrap();
    pending
        .for_each_row(|row, _, largest| {
            assert_eq!(largest, expected[row], "row {row}");
            visits.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!(visits.into_inner(), expected.len());
}

#[test]
fn largest_values_of_other_logits_are_rejected() {
    let kernels = cpu();
    let (x, other) = (ascending(&kernels, 2, 3), ascending(&kernels, 3, 1));
    let error = kernels.sample(x, Some(other)).unwrap_err().to_string();
    assert!(
        error.contains("[2, 3]") && error.contains("[3, 1]"),
        "{error}"
    );
}
