//! The kernels on the GPU of a Mac: Apple's compiler accepts them, and their results are those of the CPU.

#![cfg(target_os = "macos")]

use mlxm_kernels::{
    AttentionSpec, FloatType, KernelError, Kernels, KvCacheDtype, QuantMode, QuantSpec,
    metal::{self, SelfTest, WeightFormat},
};

/// Is `none` where the GPU may be unable to run the kernels.
const GPU: &str = "MLXM_METAL_GPU";

/// Every format of weights.
fn formats() -> Vec<WeightFormat> {
    let floats = [FloatType::F32, FloatType::F16, FloatType::BF16];
    let mut formats: Vec<_> = floats.map(WeightFormat::dense).to_vec();
    for mode in [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8] {
        let spec = QuantSpec::default_for(mode);
        formats.push(WeightFormat::quantized(spec, FloatType::BF16));
    }
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            let mode = QuantMode::Affine;
            let spec = QuantSpec {
                mode,
                group_size,
                bits,
            };
            formats.extend(floats.map(|float| WeightFormat::quantized(spec, float)));
        }
    }
    formats
}

fn attention(head_dim: usize) -> AttentionSpec {
    AttentionSpec {
        heads: 8,
        kv_heads: 2,
        head_dim,
        value_dim: head_dim,
        scale: (head_dim as f32).sqrt().recip(),
        softcap: None,
        window: None,
        sinks: None,
    }
}

/// Runs `each` with every kind of checkpoint.
fn for_each_checkpoint(
    mut each: impl FnMut(&SelfTest<'_>) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let formats = formats();
    for head_dim in [64, 80, 96, 128, 256] {
        for kv_cache_dtype in [KvCacheDtype::F16, KvCacheDtype::F32, KvCacheDtype::Int8] {
            let first = head_dim == 64 && kv_cache_dtype == KvCacheDtype::F16;
            each(&SelfTest {
                // They do not depend on the attention.
                weights: if first { &formats } else { &[] },
                attention: &attention(head_dim),
                kv_cache_dtype,
                block_size: 32,
            })?;
        }
    }
    Ok(())
}

#[test]
fn compiler_accepts_every_kernel() {
    let kernels = Kernels::on_device(metal::open_compiler().unwrap());
    kernels
        .compile(|| for_each_checkpoint(|test| test.plan(&kernels)))
        .unwrap();
}

#[test]
fn results_are_those_of_the_cpu() {
    let device = match metal::open() {
        Ok(device) => device,
        Err(error) if std::env::var(GPU).as_deref() == Ok("none") => {
            println!("results are not compared: {error}");
            return;
        }
        Err(error) => panic!("{error}; {GPU}=none allows this"),
    };
    println!("{:?}", device.info());
    let kernels = Kernels::on_device(device);
    for_each_checkpoint(|test| test.run(&kernels).map(|_| ())).unwrap();
}
