//! Apple's chips.

/// A chip with its GPU.
#[derive(Clone, Copy)]
pub struct Chip {
    pub name: &'static str,
    pub gpu_cores: usize,
    /// Memory bandwidth in bytes per second, from Apple's specifications.
    pub bandwidth: f64,
    /// Peak of 8×8 matrix products on the GPU's vector units in floating-point operations per second: an estimate from cores
    /// and clocks, which Apple does not publish.
    pub matrix_peak: f64,
    pub class: Class,
}

/// How many dies or memory channels: MLX chooses kernels by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    BaseOrPro,
    Max,
    Ultra,
}

const fn chip(
    name: &'static str,
    gpu_cores: usize,
    gigabytes_per_second: f64,
    teraflops: f64,
    class: Class,
) -> Chip {
    Chip {
        name,
        gpu_cores,
        bandwidth: gigabytes_per_second * 1e9,
        matrix_peak: teraflops * 1e12,
        class,
    }
}

use Class::{BaseOrPro, Max, Ultra};

/// The matrix units of the M5 are 3.5 to 4 times as fast as its vector units.
const MATRIX_UNITS: f64 = 3.75;

pub const M1: Chip = chip("M1", 8, 68.0, 2.6, BaseOrPro);
pub const M1_MAX: Chip = chip("M1 Max", 32, 400.0, 10.4, Max);
pub const M2: Chip = chip("M2", 10, 100.0, 3.6, BaseOrPro);
pub const M2_MAX: Chip = chip("M2 Max", 38, 400.0, 13.5, Max);
pub const M2_ULTRA: Chip = chip("M2 Ultra", 76, 800.0, 27.0, Ultra);
pub const M3_PRO: Chip = chip("M3 Pro", 18, 150.0, 6.5, BaseOrPro);
pub const M3_ULTRA: Chip = chip("M3 Ultra", 60, 819.0, 28.0, Ultra);
pub const M4: Chip = chip("M4", 10, 120.0, 4.5, BaseOrPro);
pub const M4_MAX: Chip = chip("M4 Max", 40, 546.0, 18.0, Max);
pub const M5_PRO: Chip = chip("M5 Pro", 20, 307.0, 9.0 * MATRIX_UNITS, BaseOrPro);
pub const M5_MAX: Chip = chip("M5 Max", 40, 614.0, 18.0 * MATRIX_UNITS, Max);
