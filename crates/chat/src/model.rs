//! An engine together with its chat template.

use std::path::Path;
use std::sync::Arc;

use mlxm_engine::Engine;
use mlxm_engine::text::SpecialTokens;

use crate::template::{ChatTemplate, TemplateError};

/// A loaded model with its chat template. Cheap to clone.
#[derive(Clone)]
pub struct ChatModel {
    engine: Engine,
    template: Arc<Result<ChatTemplate, TemplateError>>,
}

impl ChatModel {
    /// Reads the chat template from the checkpoint directory of `engine`.
    pub fn from_engine(engine: &Engine) -> Self {
        let template =
            ChatTemplate::from_dir(&engine.info().path, engine.tokenizer().special_tokens());
        Self {
            engine: engine.clone(),
            template: Arc::new(template),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The chat template.
    ///
    /// # Errors
    /// If the checkpoint has none, or an invalid one. Plain text completion works without a template.
    pub fn template(&self) -> Result<&ChatTemplate, &TemplateError> {
        self.template.as_ref().as_ref()
    }

    /// What the chat template supports.
    pub fn capabilities(&self) -> ChatCapabilities {
        ChatCapabilities::of(self.template().ok())
    }
}

/// What a checkpoint supports in a chat, as far as its chat template shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Whether the checkpoint has a valid chat template.
    pub has_chat_template: bool,
    /// Whether the chat template reads tools.
    pub supports_tools: bool,
    /// Whether the chat template supports reasoning.
    pub supports_thinking: bool,
}

impl ChatCapabilities {
    /// Reads the chat template in a checkpoint directory; nothing is supported without a valid one.
    pub fn from_dir(directory: impl AsRef<Path>) -> Self {
        let template = ChatTemplate::from_dir(directory, &SpecialTokens::default());
        Self::of(template.as_ref().ok())
    }

    fn of(template: Option<&ChatTemplate>) -> Self {
        Self {
            has_chat_template: template.is_some(),
            supports_tools: template.is_some_and(ChatTemplate::supports_tools),
            supports_thinking: template.is_some_and(ChatTemplate::supports_thinking),
        }
    }
}
