//! Random checkpoints of every architecture: logits on the Metal backend are those of the CPU.

use crate::bounds;
use crate::checkpoint::{Checkpoint, Runner};
use crate::device::{cpu, device};
use crate::noise::Noise;
use mlxm_engine::KvCacheDtype;
use mlxm_engine::models::supported;
use mlxm_kernels::{KernelError, Kernels};
use mlxm_metal_host::{Options, Order, sanitizer};

#[track_caller]
fn compare(checkpoint: &Checkpoint, order: Order, compile: &Options) {
    let (cpu, dtype) = (cpu(), KvCacheDtype::F32);
    let metal = Kernels::on_device(device(order, compile.clone()));
    let mut noise = Noise::new(2);
    // Every vocabulary has these tokens.
    let tokens: Vec<u32> = (0..100).map(|_| noise.bits() % 256).collect();
    // A prompt, decoding, both in one pass, a few rows of each, and decoding of both.
    let steps: [[&[u32]; 2]; 6] = [
        [&tokens[..37], &[]],
        [&tokens[40..41], &[]],
        [&tokens[41..42], &tokens[50..69]],
        [&tokens[42..44], &tokens[69..71]],
        [&tokens[44..45], &tokens[71..72]],
        [&tokens[45..46], &tokens[72..78]],
    ];
    // All kernels are one library, as when a model is loaded.
    let compiled = metal.compile(|| {
        let mut planned = Runner::new(checkpoint, &metal, dtype);
        for step in steps {
            planned.logits(step);
        }
        Ok::<(), KernelError>(())
    });
    compiled.unwrap_or_else(|error| panic!("{}: {error}", checkpoint.config));
    let mut expected = Runner::new(checkpoint, &cpu, dtype);
    let mut actual = Runner::new(checkpoint, &metal, dtype);
    let bound = bounds::of_both(checkpoint.logits_bound());
    for (index, step) in steps.into_iter().enumerate() {
        let (expected, actual) = (expected.step(step), actual.step(step));
        assert_eq!(actual.len(), expected.len());
        let highest = expected.iter().copied().fold(f32::MIN, f32::max);
        let lowest = expected.iter().copied().fold(f32::MAX, f32::min);
        for (index_of, (logit, expected)) in actual.iter().zip(&expected).enumerate() {
            let deviation = (logit - expected).abs() / (highest - lowest);
            bounds::check(deviation, bound, || {
                let config = &checkpoint.config;
                format!("{config}, step {index}, logit {index_of}: {logit}, not {expected}")
            });
        }
    }
}

/// One of four parts of the architectures, which run at the same time.
fn compare_architectures(part: usize) {
    for (index, model_type) in supported().into_iter().enumerate() {
        if index % 4 == part {
            let checkpoint = Checkpoint::new(mlxm_testmodel::config(model_type), [4, 4], 32);
            compare(
                &checkpoint,
                Order::Random(index as u64),
                &Options::default(),
            );
        }
    }
}

#[test]
fn architectures_of_the_first_part_have_the_logits_of_the_cpu() {
    compare_architectures(0);
}

#[test]
fn architectures_of_the_second_part_have_the_logits_of_the_cpu() {
    compare_architectures(1);
}

#[test]
fn architectures_of_the_third_part_have_the_logits_of_the_cpu() {
    compare_architectures(2);
}

#[test]
fn architectures_of_the_fourth_part_have_the_logits_of_the_cpu() {
    compare_architectures(3);
}

#[test]
fn every_head_width_has_the_logits_of_the_cpu() {
    for (head_dim, heads, kv_heads) in [(80, 4, 4), (96, 3, 1), (128, 4, 1), (256, 2, 1)] {
        let settings = [
            ("head_dim", head_dim),
            ("num_attention_heads", heads),
            ("num_key_value_heads", kv_heads),
        ];
        let checkpoint = Checkpoint::wide("llama", &settings, [4, 4], 64);
        compare(&checkpoint, Order::Reverse, &Options::default());
    }
}

#[test]
fn model_of_width_1024_has_the_logits_of_the_cpu() {
    let settings = [
        ("hidden_size", 1024),
        ("head_dim", 128),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 2),
    ];
    let checkpoint = Checkpoint::wide("qwen3", &settings, [4, 6], 128);
    compare(&checkpoint, Order::Random(20), &Options::default());
}

#[test]
fn every_format_has_the_logits_of_the_cpu() {
    for (bits, group_size) in [
        ([16, 16], 64),
        ([4, 6], 32),
        ([8, 8], 128),
        ([3, 5], 64),
        ([2, 16], 128),
    ] {
        let checkpoint = Checkpoint::wide("qwen3", &[], bits, group_size);
        compare(&checkpoint, Order::Forward, &Options::default());
    }
}

/// Runs itself again in a process with the runtime of the sanitizers.
#[test]
fn sanitizers_find_nothing_in_a_model() {
    if !sanitizer::is_active() {
        let output = sanitizer::rerun("architectures::sanitizers_find_nothing_in_a_model").unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{report}");
        return;
    }
    let settings = [
        ("head_dim", 64),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 2),
    ];
    let compile = Options {
        sanitize: true,
        optimize: false,
        ..Options::default()
    };
    let checkpoint = Checkpoint::wide("llama", &settings, [4, 4], 64);
    compare(&checkpoint, Order::Random(21), &compile);
}
