//! Options of the kernels.

use std::{fmt, str::FromStr};

/// The type of the activations that quantized weights are multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivationDtype {
    /// f32 (for 4-bit weights: W4A32).
    F32,
    /// int8 with one scale per group of columns (for 4-bit weights: W4A8). Activations are f32 everywhere else.
    #[default]
    Int8,
}

impl fmt::Display for ActivationDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for ActivationDtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            // `exact` is the former name of `f32`.
            "f32" | "exact" => Ok(Self::F32),
            "int8" => Ok(Self::Int8),
            _ => Err(format!(
                "unknown activation dtype {name:?}: use f32 or int8"
            )),
        }
    }
}

/// Options of the CPU kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuOptions {
    /// Compute threads, including the calling one; by default one per physical core, but not more than the
    /// CPU quota of the process.
    pub threads: Option<usize>,
    /// The type of the activations that quantized weights are multiplied with.
    pub activation_dtype: ActivationDtype,
}
