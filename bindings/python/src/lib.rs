//! The Python module `mlxm`: converts values, releases the GIL during computation and maps errors. The interface is documented in
//! `python/mlxm/__init__.pyi`.

mod arguments;
mod chat;
mod chat_stream;
mod error;
mod generation;
mod info;
mod interrupt;
mod locate;
mod model;
mod results;
mod tokenizer;

use pyo3::prelude::*;

#[pymodule]
mod _mlxm {
    #[pymodule_export]
    use crate::chat::{ChatCompletion, ToolCall};
    #[pymodule_export]
    use crate::chat_stream::{ChatChunk, ChatStream, ToolCallDelta};
    #[pymodule_export]
    use crate::generation::Generation;
    #[pymodule_export]
    use crate::info::{CacheGroup, MemoryPlan, ModelInfo, Quantization};
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::results::{Completion, Piece, RequestMetrics, TokenLogprob};
    #[pymodule_export]
    use crate::tokenizer::Tokenizer;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the conventional name in Python")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
