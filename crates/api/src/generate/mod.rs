//! What every protocol is translated to, and the answer that is translated back.

mod chat;
mod completion;
mod constraint;
mod instructions;
mod merge;
mod nonces;
mod output;
mod params;
mod plain_tools;
mod submit;
mod thinking;

pub use chat::{Chat, ToolChoice};
pub use completion::{Chunk, CollectedCompletion, Completion, Ending};
pub use merge::{collect_all, merge};
pub use output::OutputFormat;
pub use params::GenerationParams;
