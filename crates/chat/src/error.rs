//! Why a chat request is rejected.

use std::sync::Arc;

use mlxm_engine::RequestError;
use mlxm_engine::sampling::SamplingError;
use mlxm_engine::text::TokenizerError;

use crate::constraint::GrammarError;
use crate::template::TemplateError;

/// Why a chat request is rejected.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// There is no valid chat template, or it cannot render the messages.
    #[error(transparent)]
    Template(#[from] Arc<TemplateError>),
    /// The prompt cannot be tokenized.
    #[error("{0}")]
    Tokenizer(Arc<TokenizerError>),
    /// No grammar can combine this model's tool calls with structured output.
    #[error("response_format with tools is not supported: {0}")]
    ResponseFormatWithTools(GrammarError),
    /// The response format or a forced tool call cannot be enforced.
    #[error("{parameter}: {error}")]
    Grammar {
        /// `response_format`, `tools` or `tool_choice`.
        parameter: &'static str,
        /// What is wrong with it.
        error: GrammarError,
    },
    /// The schema of a tool cannot be enforced.
    #[error("tools[{index}].function.parameters of tool {name:?}: {error}")]
    ToolSchema {
        /// Index of the tool.
        index: usize,
        /// Name of the tool.
        name: String,
        /// What is wrong with its parameters.
        error: GrammarError,
    },
    /// A thinking budget for a model without reasoning tags.
    #[error(
        "a thinking budget is not supported: this model does not delimit its reasoning with tags"
    )]
    ThinkingBudget,
    /// A parameter is out of range.
    #[error("{message}")]
    InvalidParameter {
        /// The parameter, such as `max_tokens` or `response_format.type`.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A sampling parameter is out of range.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// The engine rejects the request.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ChatError {
    pub(crate) fn invalid(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidParameter {
            name: name.into(),
            message: message.into(),
        }
    }
}

impl From<TemplateError> for ChatError {
    fn from(error: TemplateError) -> Self {
        Self::Template(Arc::new(error))
    }
}

impl From<TokenizerError> for ChatError {
    fn from(error: TokenizerError) -> Self {
        Self::Tokenizer(Arc::new(error))
    }
}
