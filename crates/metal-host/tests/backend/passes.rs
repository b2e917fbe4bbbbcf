//! How passes are encoded and submitted, and what memory they use.

use std::sync::Arc;

use memmap2::Mmap;
use mlxm_kernels::{
    Bytes, CpuOptions, FloatType, KernelError, Kernels, Linear, Norm, Rows, Weight,
};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Options, Order};

use crate::bounds;
use crate::device::device;
use crate::noise::Noise;

const WIDTH: usize = 64;

fn start() -> (Arc<HostDevice>, Kernels) {
    let device = device(Order::Random(3), Options::default());
    (device.clone(), Kernels::on_device(device))
}

fn ones(kernels: &Kernels, rows: usize) -> Rows {
    kernels.upload(&vec![1.0; rows * WIDTH], WIDTH).unwrap()
}

/// `x` scaled by 2 in each of `operations`.
fn double(kernels: &Kernels, x: &Rows, operations: usize) -> Rows {
    let mut pass = kernels.begin();
    let mut y = pass.scale(x, 2.0).unwrap();
    for _ in 1..operations {
        y = pass.scale(&y, 2.0).unwrap();
    }
    pass.finish().unwrap();
    y
}

fn problem<T: std::fmt::Debug>(result: Result<T, KernelError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn pass_is_at_most_three_submissions_and_the_first_is_early() {
    let (device, kernels) = start();
    let x = ones(&kernels, 1);
    for (operations, expected) in [(5, 1), (40, 2), (40, 3), (90, 3), (90, 3)] {
        let before = device.submissions();
        let y = double(&kernels, &x, operations);
        let submissions = device.submissions() - before;
        assert!(
            (1..=expected).contains(&submissions),
            "{submissions} for {operations} operations"
        );
        let expected = 2_f32.powi(operations as i32);
        assert_eq!(kernels.read(&y).unwrap(), vec![expected; WIDTH]);
    }
    let mut pass = kernels.begin();
    let before = device.submissions();
    let mut y = pass.scale(&x, 1.0).unwrap();
    for _ in 0..30 {
        y = pass.scale(&y, 1.0).unwrap();
    }
    assert_eq!(device.submissions() - before, 1);
    pass.finish().unwrap();
}

#[test]
fn dropped_pass_has_no_results_and_later_passes_do() {
    let (device, kernels) = start();
    let x = ones(&kernels, 1);
    let mut pass = kernels.begin();
    let mut y = pass.scale(&x, 2.0).unwrap();
    for _ in 0..30 {
        y = pass.scale(&y, 2.0).unwrap();
    }
    drop(pass);
    let submissions = device.submissions();
    // What was submitted has been waited for, and nothing else is submitted.
    let dispatches = device.dispatches();
    assert!(dispatches < 31);
    let z = double(&kernels, &x, 1);
    assert_eq!(kernels.read(&z).unwrap(), [2.0; WIDTH]);
    assert_eq!(device.submissions(), submissions + 1);
    assert!(problem(kernels.read(&y)).contains("not finished"));
}

#[test]
fn one_pass_is_encoded_at_a_time() {
    let (_, kernels) = start();
    let x = ones(&kernels, 1);
    let mut first = kernels.begin();
    let mut second = kernels.begin();
    assert!(problem(second.scale(&x, 2.0)).contains("another pass"));
    assert!(problem(second.finish()).contains("another pass"));
    assert!(problem(kernels.upload(&[1.0], 1)).contains("being encoded"));
    let y = first.scale(&x, 2.0).unwrap();
    first.finish().unwrap();
    assert_eq!(kernels.read(&y).unwrap(), [2.0; WIDTH]);
    let z = double(&kernels, &x, 2);
    assert_eq!(kernels.read(&z).unwrap(), [4.0; WIDTH]);
}

#[test]
fn failure_is_that_of_every_pass_that_was_submitted_before_it_was_known() {
    let (device, kernels) = start();
    let x = ones(&kernels, 1);
    device.fail_submission(0);
    let first = double(&kernels, &x, 1);
    let second = double(&kernels, &first, 1);
    for _ in 0..2 {
        assert!(problem(kernels.read(&first)).contains("made to fail"));
        assert!(problem(kernels.read(&second)).contains("made to fail"));
    }
    let third = double(&kernels, &x, 1);
    assert_eq!(kernels.read(&third).unwrap(), [2.0; WIDTH]);
}

#[test]
fn compiled_passes_compute_nothing_and_later_ones_compile_nothing() {
    let (device, kernels) = start();
    let x = ones(&kernels, 2);
    let norm = Norm::rms(vec![1.0; WIDTH].into(), 1e-5);
    let passes = || {
        let mut pass = kernels.begin();
        let y = pass.norm(&x, &norm)?;
        let y = pass.softcap(&y, 3.0)?;
        pass.finish()?;
        Ok::<_, KernelError>(y)
    };
    kernels
        .compile(|| passes().map(|y| assert!(kernels.read(&y).is_err())))
        .unwrap();
    let compiled = device.pipelines();
    assert_eq!((compiled, device.submissions()), (2, 0));
    let y = passes().unwrap();
    assert_eq!(device.pipelines(), compiled);
    let normalized = 1.0 / (1.0_f32 + 1e-5).sqrt();
    let expected = 3.0 * (normalized / 3.0).tanh();
    for value in kernels.read(&y).unwrap() {
        let bound = bounds::of_both(bounds::roundings(16));
        bounds::check((value - expected).abs(), bound, String::new);
    }
}

#[test]
fn memory_is_unmapped_once_nothing_uses_it() {
    let (device, kernels) = start();
    let small = ones(&kernels, 1);
    let y = double(&kernels, &small, 3);
    let buffers = device.buffers();
    // Too large for the first chunk of the arena. The chunks become one when all activations have been dropped, while the
    // pass may still run.
    let large = ones(&kernels, 20_000);
    let z = double(&kernels, &large, 2);
    assert!(device.buffers() > buffers);
    drop((small, y, large, z));
    let x = ones(&kernels, 1);
    assert_eq!(
        kernels.read(&double(&kernels, &x, 1)).unwrap(),
        [2.0; WIDTH]
    );
    assert_eq!(device.buffers(), buffers);
    let kept = double(&kernels, &x, 1);
    drop(kernels);
    assert_eq!(device.buffers(), 1);
    drop((kept, x));
    assert_eq!(device.buffers(), 0);
}

/// A file with the floats of a dense weight after `padding` bytes.
fn mapped(values: &[f32], padding: usize) -> Bytes {
    let mut bytes = vec![0; padding];
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    // SAFETY: the temporary file has no name, so no other process writes to it.
    let map = Arc::new(unsafe { Mmap::map(&file) }.unwrap());
    let range = padding..map.len();
    // SAFETY: the map is of a file, and `Mmap` has no method that writes to it.
    unsafe { Bytes::mapped(map, range) }
}

#[test]
fn weights_are_used_where_they_are_mapped_or_copied_if_they_are_misaligned() {
    let mut noise = Noise::new(4);
    let x = noise.floats(WIDTH);
    let values = noise.floats(8 * WIDTH);
    let cpu = Kernels::cpu(CpuOptions::default());
    let run = |kernels: &Kernels, weight: Weight| {
        let weight = kernels.repack(weight).unwrap();
        let linear = Linear { weight, bias: None };
        let x = kernels.upload(&x, WIDTH).unwrap();
        let mut pass = kernels.begin();
        let y = pass.linear(&x, None, &[&linear]).unwrap();
        pass.finish().unwrap();
        kernels.read(&y).unwrap()
    };
    for padding in [0, 8, 2, 3] {
        let (device, kernels) = start();
        let weight = Weight::dense(8, WIDTH, FloatType::F32, mapped(&values, padding)).unwrap();
        let expected = run(&cpu, weight.clone());
        // The standard deviation of uniform values is 1/√3.
        let deviation = (WIDTH as f32).sqrt() / 3.0;
        let bound = bounds::of_both(bounds::sum(WIDTH)) * deviation;
        for (actual, expected) in run(&kernels, weight).iter().zip(&expected) {
            bounds::check((actual - expected).abs(), bound, || padding.to_string());
        }
        drop(kernels);
        assert_eq!(device.buffers(), 0);
    }
}

#[test]
fn weight_that_the_device_does_not_know_is_an_error() {
    let (_, kernels) = start();
    let values = Bytes::owned(vec![0; 4 * WIDTH]);
    let weight = Weight::dense(1, WIDTH, FloatType::F32, values).unwrap();
    let linear = Linear { weight, bias: None };
    let x = ones(&kernels, 1);
    let mut pass = kernels.begin();
    assert!(problem(pass.linear(&x, None, &[&linear])).contains("repack"));
}

#[test]
fn kernel_that_does_not_compile_is_an_error_of_the_operation() {
    let options = HostDeviceOptions::default();
    let device = HostDevice::new(options).with_replacement(
        mlxm_kernels::metal::Source::Misc,
        "out[index] = args.value * x[index];",
        "out[index] = args.nothing;",
    );
    let kernels = Kernels::on_device(Arc::new(device));
    let x = ones(&kernels, 1);
    let mut pass = kernels.begin();
    assert!(problem(pass.scale(&x, 2.0)).contains("nothing"));
}

#[test]
fn wrong_address_space_is_an_error_of_the_operation() {
    let device = HostDevice::new(HostDeviceOptions::default()).with_replacement(
        mlxm_kernels::metal::Source::Misc,
        "device const float *part = x + start;",
        "threadgroup const float *part = x + start;",
    );
    let kernels = Kernels::on_device(Arc::new(device));
    let x = ones(&kernels, 1);
    let mut pass = kernels.begin();
    let norm = Norm::rms(vec![1.0; WIDTH].into(), 1e-5);
    assert!(problem(pass.norm(&x, &norm)).contains("HOST_THREADGROUP"));
}
