//! The blocks that models are built from.
//!
//! A block includes its norms and its residual connection, so that they can be fused with its projections: attention usually
//! takes four operations, an MLP two. Linear layers see `[T, width]`; only attention distinguishes sequences.

mod attention;
mod decoder;
mod embedding;
mod layer;
mod lm_head;
mod mlp;
mod residual;
mod rope;
mod sizes;

pub use attention::{Attention, AttentionBias, AttentionNames, QkvNames, QkvProjection, qk_norms};
pub use decoder::{Decoder, DecoderModel, DecoderNames};
pub use embedding::Embedding;
pub use layer::{Layer, LayerNames};
pub use lm_head::LmHead;
pub use mlp::{Mlp, MlpInput, MlpInputNames, MlpNames};
pub use residual::Residual;
pub use rope::{RopeConfig, RopeKeys, RopeScaling};
pub use sizes::{DecoderConfig, GroupedConfig, Ignored, NormKind, Shape};
