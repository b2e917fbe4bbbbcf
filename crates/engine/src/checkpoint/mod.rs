//! A checkpoint on disk: `config.json`, memory-mapped `model*.safetensors`, and the rules that say which of its tensors
//! are quantized and how.

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
