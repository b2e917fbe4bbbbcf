//! Small cases of the operations of a checkpoint, computed by a device and by the CPU.
//!
//! A device that compiles the kernels of this project itself, with a compiler that this project was not tested with, shows
//! here whether they compute what they should. The expected values are those of the CPU backend with f32 activations,
//! which is tested against [`mod@crate::reference`].

mod cases;
mod weights;

use crate::{ActivationDtype, AttentionSpec, CpuOptions, KernelError, Kernels, KvCacheDtype};

pub use weights::WeightFormat;

/// Largest error of a value, relative to the largest of its result: prefill multiplies in half precision.
const TOLERANCE: f32 = 5e-3;

/// What a checkpoint needs of a device.
#[derive(Clone, Debug)]
pub struct SelfTest<'a> {
    /// The formats of its weights.
    pub weights: &'a [WeightFormat],
    /// An attention layer.
    pub attention: &'a AttentionSpec,
    /// How keys and values are stored.
    pub kv_cache_dtype: KvCacheDtype,
    /// Positions of a block of the KV cache.
    pub block_size: usize,
}

impl SelfTest<'_> {
    /// Computes all cases on `kernels`, and returns how many there are.
    ///
    /// # Errors
    /// The first case whose values differ from those of the CPU, or that the device cannot compute.
    pub fn run(&self, kernels: &Kernels) -> Result<usize, KernelError> {
        let cpu = Kernels::cpu(CpuOptions {
            threads: Some(1),
            activation_dtype: ActivationDtype::F32,
        });
        let cases = self.cases();
        for case in &cases {
            let expected = (case.results)(&cpu)?;
            let results = (case.results)(kernels)?;
            for (result, expected) in results.iter().zip(&expected) {
                let compared = compare(&kernels.read(result)?, &cpu.read(expected)?);
                compared.map_err(|problem| KernelError::Device {
                    op: "self-test",
                    reason: format!("{}: {problem}", case.name),
                })?;
            }
        }
        Ok(cases.len())
    }

    /// Makes the passes of all cases without reading their results, for [`Kernels::compile`].
    ///
    /// # Errors
    /// If a pass cannot be made.
    pub fn plan(&self, kernels: &Kernels) -> Result<(), KernelError> {
        for case in self.cases() {
            (case.results)(kernels)?;
        }
        Ok(())
    }
}

/// Whether values agree.
fn compare(values: &[f32], expected: &[f32]) -> Result<(), String> {
    if values.len() != expected.len() {
        return Err(format!("{} values, not {}", values.len(), expected.len()));
    }
    let largest = expected
        .iter()
        .fold(0.0_f32, |max, value| max.max(value.abs()));
    for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
        // Not `>`: a NaN is wrong.
        let close = (value - expected).abs() <= TOLERANCE * largest;
        if !close {
            return Err(format!("value {index} is {value}, not {expected}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_agree_within_a_part_of_the_largest() {
        assert_eq!(compare(&[10.0, 0.04], &[10.0, 0.0]), Ok(()));
        assert!(compare(&[10.0, 0.06], &[10.0, 0.0]).is_err());
        assert!(compare(&[10.0, f32::NAN], &[10.0, 0.0]).is_err());
        assert!(compare(&[f32::INFINITY], &[1.0]).is_err());
        assert!(compare(&[], &[1.0]).is_err());
        // A device that did nothing.
        assert!(compare(&[0.0, 0.0], &[0.1, -0.2]).is_err());
    }

    #[test]
    fn cpu_passes_for_every_format() {
        use crate::{FloatType, QuantMode, QuantSpec};
        let floats = [FloatType::F32, FloatType::F16, FloatType::BF16];
        let mut weights: Vec<_> = floats.map(WeightFormat::dense).to_vec();
        for mode in [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8] {
            let spec = QuantSpec::default_for(mode);
            weights.push(WeightFormat::quantized(spec, FloatType::BF16));
        }
        for bits in [2, 3, 4, 5, 6, 8] {
            for group_size in [32, 64, 128] {
                let mode = QuantMode::Affine;
                let spec = QuantSpec {
                    mode,
                    group_size,
                    bits,
                };
                weights.push(WeightFormat::quantized(spec, FloatType::F16));
            }
        }
        let attention = AttentionSpec {
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            value_dim: 64,
            scale: 0.125,
            softcap: None,
            window: None,
            sinks: None,
        };
        let test = SelfTest {
            weights: &weights,
            attention: &attention,
            kv_cache_dtype: KvCacheDtype::F16,
            block_size: 32,
        };
        let kernels = Kernels::cpu(CpuOptions {
            threads: Some(2),
            activation_dtype: ActivationDtype::F32,
        });
        assert!(test.run(&kernels).unwrap() > weights.len());
    }
}
