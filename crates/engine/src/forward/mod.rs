//! The interface between models and the runtime: the traits that models implement, the KV cache that is passed to them, and
//! the ragged batch of a step.

mod cache;
mod model;
mod step;

pub use cache::{CacheGroupPlan, CacheLayer, CachePool};
pub use model::{AttentionDims, Dimensions, Model, ModelConfig};
pub use step::{AttentionConfig, GroupInput, ModelInput, Span, Step};
