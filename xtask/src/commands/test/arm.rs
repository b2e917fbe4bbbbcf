//! The step `arm`: the kernels' tests on an emulated Arm CPU with every extension.

use crate::cross::{ARM_LINUX, Emulator, Toolchain};
use crate::process;
use anyhow::Result;

/// Builds the tests of the kernels for Arm and runs them in an emulator.
pub fn run() -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        eprintln!("this is an Arm CPU: the step `rust` runs these tests natively");
        return Ok(());
    }
    let toolchain = Toolchain::prepare(&ARM_LINUX)?;
    let emulator = Emulator::prepare()?;
    process::run(
        toolchain
            .cargo()?
            .args(["test", "--locked", "--package", "mlxm-kernels"])
            .args(["--lib", "--tests", "--target", ARM_LINUX.triple])
            .env(ARM_LINUX.cargo_variable("RUNNER"), emulator.runner())
            // Fewer than in the step `rust`, since the emulator is slow.
            .env("PROPTEST_CASES", "8"),
    )
}
