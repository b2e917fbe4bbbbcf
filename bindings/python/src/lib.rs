//! The Python module `mlxm`: converts values, lets other Python threads run while it computes, and maps errors. What it
//! wraps is documented in the engine; what Python sees is in `python/mlxm/__init__.pyi`.

mod arguments;
mod chat;
mod error;
mod generation;
mod info;
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
    #[expect(non_upper_case_globals, reason = "the name Python gives it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
