//! The interactive chat.

mod command;
mod input;
mod transcript;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mlxm_engine::{FinishReason, LengthCause, RequestError};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use self::command::Input;
use self::input::InputHelper;
use self::transcript::Transcript;
use crate::context;
use crate::failure::Failure;
use crate::generate::{Backend, BackendError, Completion, Finish, Printer};
use crate::output::Output;

const PROMPT: &str = ">>> ";
const HISTORY_ENTRIES: usize = 1000;

/// A chat on the terminal.
pub struct Chat<'a> {
    /// Output.
    pub output: &'a Output,
    /// Generates responses.
    pub backend: &'a dyn Backend,
    /// Name of the model, for the saved conversation.
    pub model: &'a str,
    /// Whether reasoning is printed.
    pub show_reasoning: bool,
    /// Whether metrics are printed after each response.
    pub show_metrics: bool,
}

/// Whether the chat continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Line,
    Exit,
}

impl Chat<'_> {
    /// Runs until the user exits.
    pub fn run(&self, system: Option<String>) -> anyhow::Result<()> {
        let mut editor = editor()?;
        let mut history = history_file();
        if let Some(path) = &history {
            // The first chat has no history yet.
            let _ = editor.load_history(path);
        }
        let mut transcript = Transcript::new(system);
        self.output.note(&format!(
            "{}: /help lists commands, Ctrl-D exits",
            self.model
        ));
        // Ctrl-C stopped generation or cleared a line: the next one exits.
        let mut interrupted = false;
        loop {
            match editor.readline(PROMPT) {
                Ok(typed) => {
                    let message = input::message(&typed);
                    let input = command::parse(&typed, message);
                    if input != Input::Empty {
                        let _ = editor.add_history_entry(&typed);
                        if let Some(path) = &history
                            && let Err(error) = append_history(&mut editor, path)
                        {
                            let path = path.display();
                            self.output
                                .warn(&format!("cannot save the input history to {path}: {error}"));
                            history = None;
                        }
                    }
                    interrupted = false;
                    let next = match input {
                        Input::Message(message) => {
                            self.send(&mut transcript, message, &mut interrupted)?
                        }
                        other => self.run_command(other, &mut transcript)?,
                    };
                    if next == Next::Exit {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) if interrupted => {
                    return Err(Failure::Interrupted(String::new()).into());
                }
                Err(ReadlineError::Interrupted) => {
                    interrupted = true;
                    self.output.note("press Ctrl-C again or Ctrl-D to exit");
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("cannot read from the terminal"),
            }
        }
    }

    fn run_command(&self, input: Input, transcript: &mut Transcript) -> anyhow::Result<Next> {
        match input {
            Input::Empty | Input::Message(_) => {}
            Input::Exit => return Ok(Next::Exit),
            Input::Help => self.output.line(command::HELP)?,
            Input::Reset => {
                transcript.reset();
                self.output.note("conversation cleared");
            }
            Input::System(text) => {
                let state = if text.is_empty() { "removed" } else { "set" };
                transcript.set_system((!text.is_empty()).then_some(text));
                self.output
                    .note(&format!("system prompt {state}, conversation cleared"));
            }
            Input::Save(file) => match transcript.save(&file, self.model) {
                Ok(()) => self.output.note(&format!("conversation saved to {file}")),
                Err(error) => self.output.error(&format!("cannot write {file}: {error}")),
            },
            Input::Stats => self.output.line(&self.describe_metrics(transcript))?,
            Input::Invalid(text) => self.output.error(&text),
        }
        Ok(Next::Line)
    }

    /// Sends a message. If it is rejected, the error is printed, the message is dropped and the chat continues.
    fn send(
        &self,
        transcript: &mut Transcript,
        message: String,
        interrupted: &mut bool,
    ) -> anyhow::Result<Next> {
        transcript.push_user(message);
        let mut printer = Printer::new(self.output, self.show_reasoning);
        let outcome = self.backend.generate(transcript.messages(), &mut printer);
        printer.end_line()?;
        match outcome {
            Ok(completion) => {
                *interrupted = completion.finish.is_interrupted();
                self.print_notes(&completion);
                transcript.push_assistant(completion);
            }
            Err(BackendError::Fatal(error)) => return Err(error),
            Err(BackendError::Rejected(error)) => {
                transcript.pop_user();
                match error.downcast_ref::<RequestError>() {
                    Some(RequestError::PromptTooLong { prompt_tokens, context_length }) => self.output.error(&format!(
                        "context full: the conversation has {prompt_tokens} tokens, the context length is {context_length}; \
                         /reset clears the conversation, --context-length N increases the limit"
                    )),
                    _ => self.output.error(&format!("{error:#}")),
                }
            }
        }
        Ok(Next::Line)
    }

    /// Prints why the completion ended, unless it ended normally, and its metrics.
    fn print_notes(&self, completion: &Completion) {
        let limits = self.backend.limits();
        match (&completion.finish, limits.context_length) {
            (Finish::Engine(FinishReason::Cancelled), _) => self.output.note("(stopped; press Ctrl-C again to exit)"),
            (Finish::Engine(FinishReason::Length(LengthCause::ContextLength)), Some(context_length)) => self.output.warn(&format!(
                "context full: {context_length} tokens; /reset clears the conversation, --context-length N increases the limit"
            )),
            (finish, _) => {
                if let Some(note) = finish.note(limits) {
                    self.output.note(&note);
                }
            }
        }
        if let Some(metrics) = completion.metrics.filter(|_| self.show_metrics) {
            self.output.note(&metrics.describe());
        }
    }

    fn describe_metrics(&self, transcript: &Transcript) -> String {
        let context_length = self.backend.limits().context_length;
        let Some(metrics) = transcript.last_metrics() else {
            return match context_length {
                Some(length) => format!("no response yet; context length {length} tokens"),
                None => "no response yet".to_owned(),
            };
        };
        let context = match (metrics.context_tokens(), context_length) {
            (Some(used), Some(length)) => format!(
                "\ncontext: {used} of {length} tokens used, {} left",
                length.saturating_sub(used)
            ),
            (Some(used), None) => format!("\ncontext: {used} tokens used"),
            (None, _) => String::new(),
        };
        metrics.describe() + &context
    }
}

fn append_history(
    editor: &mut Editor<InputHelper, FileHistory>,
    path: &Path,
) -> Result<(), ReadlineError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    editor.append_history(path)
}

fn editor() -> anyhow::Result<Editor<InputHelper, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)
        .and_then(|config| config.history_ignore_dups(true))
        .context("cannot set up the line editor")?
        .bracketed_paste(true)
        .build();
    let mut editor = Editor::with_config(config).context("cannot set up the line editor")?;
    editor.set_helper(Some(InputHelper));
    Ok(editor)
}

fn history_file() -> Option<PathBuf> {
    context::home().map(|home| home.join("history"))
}
