use std::path::PathBuf;

use mlxm_engine::text::TokenizerError;

/// Why a conversation cannot be rendered to a prompt.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The checkpoint has no chat template: it is a base model, or the conversion did not copy the template.
    #[error(
        "no chat template in {}: neither chat_template.jinja, nor `chat_template` in tokenizer_config.json, nor \
         chat_template.json. Provide a template, or complete plain text instead",
        directory.display()
    )]
    Missing {
        /// The directory of the checkpoint.
        directory: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file has an invalid `chat_template`.
    #[error("{} is not valid: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The template is not valid Jinja.
    #[error("chat template `{name}`, line {line}: {reason}")]
    Syntax {
        /// Name of the template.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// The parser's message.
        reason: String,
    },
    /// The template rejects the conversation with `raise_exception`.
    #[error(
        "the chat template rejects this conversation: {message} (template `{name}`, line {line})"
    )]
    Raised {
        /// Name of the template.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// The message of the template.
        message: String,
    },
    /// Rendering fails.
    #[error("chat template `{name}` failed at line {line}: {reason}")]
    Render {
        /// Name of the template.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// What went wrong.
        reason: String,
    },
    /// The template renders the conversation in no form.
    #[error("{error}. Simpler forms of the conversation fail, too: {advice}")]
    Unrenderable {
        /// The error of the most faithful form.
        error: Box<TemplateError>,
        /// What to change.
        advice: String,
    },
    /// The checkpoint has no template of this name.
    #[error("no chat template named `{name}`; this model has {}", known.join(", "))]
    UnknownName {
        /// The requested name, or `default`.
        name: String,
        /// The names of the templates.
        known: Vec<String>,
    },
    /// The messages or options are invalid.
    #[error("{0}")]
    Conversation(String),
    /// The rendered prompt cannot be tokenized.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
