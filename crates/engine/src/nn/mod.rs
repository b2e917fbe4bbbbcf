//! Blocks that models share.
//!
//! A block holds its norms, projections and residual together and issues few fused operations: three for attention up to
//! its result, one for a feed-forward block up to its output projection, one for each output projection. Linear layers see
//! `[T, width]`; only attention distinguishes sequences.

mod attention;
mod decoder;
mod embedding;
mod layer;
mod lm_head;
mod mlp;
mod residual;
mod rope;

pub use attention::{Attention, AttentionBias, QkvProjection};
pub use decoder::{Decoder, DecoderConfig};
pub use embedding::Embedding;
pub use layer::{FeedForward, Layer};
pub use lm_head::LmHead;
pub use mlp::{GateUp, GatedMlp, Mlp};
pub use residual::Residual;
pub use rope::{RopeConfig, RopeScaling};
