//! The self-test that a GPU has to pass when a model is loaded, on the executor.

use std::sync::Arc;

use mlxm_kernels::{
    AttentionSpec, FloatType, Kernels, KvCacheDtype, QuantMode, QuantSpec,
    metal::{SelfTest, Source, WeightFormat},
};
use mlxm_metal_host::{HostDevice, HostDeviceOptions};

fn attention() -> AttentionSpec {
    AttentionSpec {
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        value_dim: 64,
        scale: 0.125,
        softcap: None,
        window: None,
        sinks: None,
    }
}

fn run(device: HostDevice, formats: &[WeightFormat]) -> Result<usize, String> {
    let kernels = Kernels::on_device(Arc::new(device));
    let test = SelfTest {
        weights: formats,
        attention: &attention(),
        kv_cache_dtype: KvCacheDtype::F16,
        block_size: 32,
    };
    // Compiled together, as when a model is loaded.
    kernels.compile(|| test.plan(&kernels)).unwrap();
    test.run(&kernels).map_err(|error| error.to_string())
}

#[test]
fn kernels_pass() {
    let affine = QuantSpec::default_for(QuantMode::Affine);
    let mxfp4 = QuantSpec::default_for(QuantMode::Mxfp4);
    let formats = [
        WeightFormat::quantized(affine, FloatType::BF16),
        WeightFormat::quantized(mxfp4, FloatType::F32),
        WeightFormat::dense(FloatType::F16),
    ];
    let device = HostDevice::new(HostDeviceOptions::default());
    run(device, &formats).unwrap();
}

#[test]
fn wrong_kernels_are_found() {
    let affine = QuantSpec::default_for(QuantMode::Affine);
    let formats = [WeightFormat::quantized(affine, FloatType::BF16)];
    // (file, text, replacement, what the error names)
    let mutants = [
        (
            Source::Linear,
            "/ float(columns) + args.eps",
            "/ float(columns + 9) + args.eps",
            "inputs",
        ),
        (
            Source::Misc,
            "float value = (part[column] - mean) * factor;",
            "float value = (part[column] - mean) * factor * 1.02f;",
            "norms",
        ),
    ];
    for (source, from, to, named) in mutants {
        let device = HostDevice::new(HostDeviceOptions::default());
        let error = run(device.with_replacement(source, from, to), &formats).unwrap_err();
        assert!(
            error.contains("self-test") && error.contains(named),
            "{error}"
        );
    }
}

#[test]
fn failing_device_is_found() {
    let device = HostDevice::new(HostDeviceOptions::default());
    device.fail_submission(1);
    let formats = [WeightFormat::dense(FloatType::F32)];
    run(device, &formats).unwrap_err();
}
