//! What every protocol is translated to, and the answer that is translated back.

mod answer;
mod chat;
mod constraint;
mod instructions;
mod merge;
mod nonces;
mod output;
mod plain_tools;
mod settings;
mod submit;
mod thinking;

pub use answer::{Answer, Chunk, Ending, Whole};
pub use chat::{Chat, ToolChoice};
pub use merge::{merge, wholes};
pub use output::OutputFormat;
pub use settings::Settings;
