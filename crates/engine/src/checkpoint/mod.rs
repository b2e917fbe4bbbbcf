//! A checkpoint on disk: `config.json`, memory-mapped `model*.safetensors`, and how each weight is quantized.

mod awq;
mod config;
mod loader;
mod quantization;
mod scope;
mod weights;

pub use config::{CheckpointConfig, read_json};
pub use loader::Loader;
pub use quantization::Quantization;
pub use scope::Scope;
pub use weights::{RawTensor, Weights};
