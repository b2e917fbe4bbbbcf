//! Which device a model runs on.

use std::fmt;
use std::sync::Arc;

use mlxm_kernels::KernelError;
use mlxm_kernels::metal::{self, Device, DeviceError, DeviceInfo};

use crate::error::LoadError;
use crate::options::DeviceChoice;

/// The device that a model runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The CPU.
    Cpu {
        /// Why not the GPU, if [`DeviceChoice::Auto`] would have preferred it.
        fallback: Option<String>,
    },
    /// A GPU, by Metal.
    Metal {
        /// Its name.
        name: String,
        /// Bytes that it can use well.
        working_set_bytes: u64,
    },
}

impl ComputeDevice {
    pub(super) fn new(gpu: Option<DeviceInfo>, fallback: Option<String>) -> Self {
        match gpu {
            Some(gpu) => Self::Metal {
                name: gpu.name,
                working_set_bytes: gpu.working_set_bytes,
            },
            None => Self::Cpu { fallback },
        }
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { fallback: None } => f.write_str("CPU"),
            Self::Cpu {
                fallback: Some(reason),
            } => write!(f, "CPU: {reason}"),
            Self::Metal { name, .. } => write!(f, "{name} (Metal)"),
        }
    }
}

/// The device that a model would run on, unless the model itself prevents it.
///
/// # Errors
/// If `choice` is a device that this machine does not have.
pub fn compute_device(choice: DeviceChoice) -> Result<ComputeDevice, LoadError> {
    Ok(match open(choice)? {
        Selected::Metal(device) => ComputeDevice::new(Some(device.info()), None),
        Selected::Cpu { fallback } => ComputeDevice::new(None, fallback),
    })
}

/// An opened device.
#[derive(Debug, Clone)]
pub(super) enum Selected<D = Arc<dyn Device>> {
    Cpu { fallback: Option<String> },
    Metal(D),
}

/// Opens the device of a choice.
pub(super) fn open(choice: DeviceChoice) -> Result<Selected, LoadError> {
    select(choice, cfg!(target_os = "macos"), metal::open)
}

/// Opens the device of a choice with `open`. Only on a Mac, it is worth mentioning that there is none.
fn select<D>(
    choice: DeviceChoice,
    is_mac: bool,
    open: impl FnOnce() -> Result<D, DeviceError>,
) -> Result<Selected<D>, LoadError> {
    match choice {
        DeviceChoice::Cpu => Ok(Selected::Cpu { fallback: None }),
        DeviceChoice::Auto => Ok(match open() {
            Ok(device) => Selected::Metal(device),
            Err(error) => Selected::Cpu {
                fallback: is_mac.then(|| error.to_string()),
            },
        }),
        DeviceChoice::Metal => open().map(Selected::Metal).map_err(|error| {
            LoadError::Device(format!(
                "{error}: use `--device cpu`, or auto, which chooses the CPU here"
            ))
        }),
    }
}

/// Whether the CPU may be able to run a model that could not be loaded on a GPU with this error.
pub(super) fn may_work_on_cpu(error: &LoadError) -> bool {
    match error {
        LoadError::Device(_) | LoadError::Memory(_) => true,
        LoadError::Compute(error) => matches!(
            error,
            KernelError::Device { .. }
                | KernelError::DeviceMemory { .. }
                | KernelError::WeightMemory { .. }
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(choice: DeviceChoice, is_mac: bool, has_gpu: bool) -> Result<String, String> {
        let open = || {
            has_gpu
                .then_some(())
                .ok_or_else(|| DeviceError("it is an Intel Mac".into()))
        };
        match select(choice, is_mac, open) {
            Ok(Selected::Metal(())) => Ok("metal".into()),
            Ok(Selected::Cpu { fallback }) => Ok(format!("cpu {fallback:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn auto_prefers_the_gpu_and_says_why_it_is_not_used() {
        let auto = |is_mac, has_gpu| outcome(DeviceChoice::Auto, is_mac, has_gpu).unwrap();
        assert_eq!(auto(true, true), "metal");
        assert_eq!(auto(true, false), "cpu Some(\"it is an Intel Mac\")");
        // Elsewhere, a GPU is not expected.
        assert_eq!(auto(false, false), "cpu None");
    }

    #[test]
    fn explicit_choice_is_followed_or_an_error() {
        assert_eq!(outcome(DeviceChoice::Metal, true, true).unwrap(), "metal");
        assert_eq!(outcome(DeviceChoice::Cpu, true, true).unwrap(), "cpu None");
        let error = outcome(DeviceChoice::Metal, true, false).unwrap_err();
        assert!(error.contains("Intel") && error.contains("--device cpu"));
    }

    #[test]
    fn cpu_replaces_a_gpu_only_for_problems_of_the_gpu() {
        let device = |op| KernelError::Device {
            op,
            reason: "no".into(),
        };
        assert!(may_work_on_cpu(&LoadError::Device("no".into())));
        assert!(may_work_on_cpu(&LoadError::Memory("too large".into())));
        assert!(may_work_on_cpu(&LoadError::Compute(device("compile"))));
        assert!(!may_work_on_cpu(&LoadError::Cancelled));
        assert!(!may_work_on_cpu(&LoadError::InvalidOption("no".into())));
    }
}
