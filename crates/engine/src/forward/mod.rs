//! What a forward pass is made of: the traits that models implement, the KV cache they are given, and the ragged batch of
//! one step. It is below [`nn`](crate::nn) and the models, which see the runtime only through these types.

mod cache;
mod model;
mod step;

pub use cache::{CacheGroupPlan, CacheLayer, CachePool};
pub use model::{AttentionDims, Dimensions, Model, ModelConfig};
pub use step::{AttentionConfig, GroupInput, ModelInput, Span, Step};
