//! Blocks that architectures share.
//!
//! A block takes its norm, its projections and its residual together, and hands them to the kernels as few fused
//! operations: three for attention up to its result, one for each projection back, one for what a feed-forward block does
//! before that. Linear layers see `[T, width]`; only attention knows about sequences.

mod attention;
mod decoder;
mod embedding;
mod layer;
mod lm_head;
mod mlp;
mod residual;
mod rope;

pub use attention::{Attention, AttentionConfig, AttentionDims, QkvProjection};
pub use decoder::{Decoder, DecoderConfig};
pub use embedding::Embedding;
pub use layer::{FeedForward, Layer};
pub use lm_head::LmHead;
pub use mlp::{GateUp, GatedMlp, Mlp};
pub use residual::Residual;
pub use rope::{RopeConfig, rope};
