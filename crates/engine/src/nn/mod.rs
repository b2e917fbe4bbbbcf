//! Blocks that architectures share.
//!
//! A block takes its norm, its projections and its residual together, so that fusing them later changes this folder and
//! the kernels, not the model files. Linear layers see `[T, width]`; only attention knows about sequences.

mod attention;
mod decoder;
mod embedding;
mod head;
mod layer;
mod linear;
mod mlp;
mod norm;
mod residual;
mod rope;

pub use attention::{Attention, AttentionConfig, HeadNorms, Heads, QkvProjection};
pub use decoder::{Decoder, Frame};
pub use embedding::Embedding;
pub use head::Head;
pub use layer::{FeedForward, Layer};
pub use linear::Linear;
pub use mlp::{GateUp, GatedMlp, Mlp};
pub use norm::Norm;
pub use residual::Residual;
pub use rope::{RopeConfig, rope};
