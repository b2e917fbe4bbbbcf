//! Prompts from the files of a checkpoint.

use std::path::Path;

use mlxm_engine::text::Tokenizer;

use crate::conversation::{ConversationOptions, render_conversation};
use crate::error::ChatError;
use crate::model::{ChatOptions, conversation_options, default_source};
use crate::request::ChatRequest;
use crate::template::ChatTemplate;

/// Renders conversations to the same prompts as a [`ChatModel`](crate::ChatModel), without weights: only the tokenizer and the
/// chat template are loaded.
#[derive(Debug, Clone)]
pub struct PromptRenderer {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    conversation: ConversationOptions,
}

impl PromptRenderer {
    /// Reads the tokenizer and the chat template of a checkpoint directory. `model_type` is that of its configuration.
    ///
    /// # Errors
    /// If one of them is missing or invalid.
    pub fn from_dir(
        directory: impl AsRef<Path>,
        model_type: &str,
        options: &ChatOptions,
    ) -> Result<Self, ChatError> {
        let directory = directory.as_ref();
        let tokenizer = Tokenizer::from_dir(directory)?;
        let own = ChatTemplate::from_dir(directory, tokenizer.special_tokens());
        let (_, conversation) = conversation_options(own.as_ref().ok(), model_type, options);
        let template = match &options.template {
            Some(template) => template.clone(),
            None => own?,
        };
        Ok(Self {
            tokenizer,
            template,
            conversation,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether the chat template reads a variable of this name.
    pub fn template_mentions(&self, variable: &str) -> bool {
        default_source(&self.template).is_some_and(|source| source.contains(variable))
    }

    /// The text of the prompt. Its tokens are those of [`Tokenizer::encode`] without special tokens.
    ///
    /// # Errors
    /// If the template renders the messages in no form.
    pub fn render(&self, request: &ChatRequest) -> Result<String, ChatError> {
        let rendered = render_conversation(&self.template, request, &self.conversation);
        Ok(rendered?.text)
    }
}
