//! The kernels of candle-metal-kernels, which run on Macs, against plain references. They show that the executor does what Metal does.

pub mod attention;
mod gemv;
mod norms;
mod quantized;
mod sources;

/// Values between -1 and 1.
pub fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Fails if an element differs from the reference by more than the tolerance times the largest element.
pub fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, context: &str) {
    assert_eq!(actual.len(), expected.len(), "{context}");
    let scale = expected
        .iter()
        .fold(0.0, |scale: f64, value| scale.max(value.abs()));
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(actual) - expected).abs();
        assert!(
            difference <= tolerance * scale,
            "{context}: element {index} is {actual}, not {expected}"
        );
    }
}
