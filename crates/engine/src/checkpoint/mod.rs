//! A checkpoint on disk: `config.json`, memory-mapped safetensors files, and how each weight is quantized.

mod awq;
mod config;
mod fields;
mod header;
mod index;
mod key_types;
mod loader;
mod quantization;
mod row_order;
mod scope;
mod weights;

pub use config::{CheckpointConfig, read_json};
pub use fields::parse_fields;
pub use key_types::check_key_types;
pub use loader::{LoadProgress, LoadedParameters, Loader};
pub use quantization::Quantization;
pub use row_order::RowOrder;
pub use scope::Scope;
pub use weights::{RawTensor, Weights};
