//! `cargo xtask metal-model`: predicted speeds on Apple GPUs.

use crate::metal_model;
use anyhow::Result;
use clap::Args;

/// Predict speeds on Apple GPUs from dispatches, bytes and operations, and compare with published measurements.
///
/// Needs no Mac: the cost model is calibrated with two published rows of mlx-lm and checked with the others. docs/metal.md
/// explains it.
#[derive(Args)]
pub struct Arguments {
    /// Also write the tables into docs/metal.md
    #[arg(long)]
    write: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    print!("{}", metal_model::markdown());
    if arguments.write {
        metal_model::update()?;
        eprintln!("updated {}", metal_model::PATH);
    }
    Ok(())
}
