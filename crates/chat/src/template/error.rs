use std::path::PathBuf;

use mlxm_engine::text::TokenizerError;

/// Why a conversation could not be turned into a prompt.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The checkpoint has no chat template: it is a base model, or the template was left behind when converting.
    #[error(
        "no chat template in {}: neither chat_template.jinja, nor `chat_template` in tokenizer_config.json, nor \
         chat_template.json. Give a template of your own, or complete plain text instead of chatting",
        directory.display()
    )]
    Missing {
        /// The directory looked into.
        directory: PathBuf,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that should hold a template does not.
    #[error("{} is not valid: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The template is not Jinja.
    #[error("chat template `{name}`, line {line}: {reason}")]
    Syntax {
        /// Which of the checkpoint's templates.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The template itself refuses the conversation, by `raise_exception`.
    #[error(
        "the chat template refuses this conversation: {message} (template `{name}`, line {line})"
    )]
    Refused {
        /// Which of the checkpoint's templates.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// What the template's author says.
        message: String,
    },
    /// The template failed while it ran.
    #[error("chat template `{name}` failed at line {line}: {reason}")]
    Render {
        /// Which of the checkpoint's templates.
        name: String,
        /// Line in the template, from 1.
        line: usize,
        /// What went wrong.
        reason: String,
    },
    /// The checkpoint has several templates and none by this name.
    #[error("no chat template named `{name}`; this model has {}", known.join(", "))]
    UnknownName {
        /// The name asked for; `default` when none was.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The conversation cannot be rendered as asked.
    #[error("{0}")]
    Conversation(String),
    /// The rendered prompt could not be encoded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
