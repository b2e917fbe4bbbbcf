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
use crate::generate::{Answer, AnswerError, Finish, Printer, Responder};
use crate::output::Output;

const PROMPT: &str = ">>> ";
const HISTORY_ENTRIES: usize = 1000;

/// A chat on the terminal.
pub struct Chat<'a> {
    /// Where the answers go.
    pub output: &'a Output,
    /// Who answers.
    pub responder: &'a dyn Responder,
    /// Name of the model, for the saved conversation.
    pub model: &'a str,
    /// Whether thinking is printed.
    pub shows_thinking: bool,
    /// Whether speed is printed after each answer.
    pub shows_statistics: bool,
}

/// Whether the chat goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

impl Chat<'_> {
    /// Talks until the person leaves.
    pub fn run(&self, system: Option<String>) -> anyhow::Result<()> {
        let mut editor = editor()?;
        let mut history = history_file();
        if let Some(path) = &history {
            // The first chat has no history yet.
            let _ = editor.load_history(path);
        }
        let mut transcript = Transcript::new(system);
        self.output.note(&format!(
            "{}: /help lists the commands, Ctrl-D leaves",
            self.model
        ));
        // A Ctrl-C that stopped an answer or cleared a line: the next one leaves.
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
                            self.output.warn(&format!(
                                "the input history cannot be kept in {path}: {error}"
                            ));
                            history = None;
                        }
                    }
                    interrupted = false;
                    let next = match input {
                        Input::Message(message) => {
                            self.ask(&mut transcript, message, &mut interrupted)?
                        }
                        other => self.obey(other, &mut transcript)?,
                    };
                    if next == Next::Leave {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) if interrupted => {
                    return Err(Failure::Interrupted(String::new()).into());
                }
                Err(ReadlineError::Interrupted) => {
                    interrupted = true;
                    self.output.note("Ctrl-C again or Ctrl-D leaves");
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("cannot read from the terminal"),
            }
        }
    }

    fn obey(&self, input: Input, transcript: &mut Transcript) -> anyhow::Result<Next> {
        match input {
            Input::Empty | Input::Message(_) => {}
            Input::Exit => return Ok(Next::Leave),
            Input::Help => self.output.line(command::HELP)?,
            Input::Reset => {
                transcript.reset();
                self.output.note("conversation forgotten");
            }
            Input::System(text) => {
                let state = if text.is_empty() { "removed" } else { "set" };
                transcript.set_system((!text.is_empty()).then_some(text));
                self.output
                    .note(&format!("system prompt {state}, conversation forgotten"));
            }
            Input::Save(file) => match transcript.save(&file, self.model) {
                Ok(()) => self.output.note(&format!("conversation written to {file}")),
                Err(error) => self.output.error(&format!("cannot write {file}: {error}")),
            },
            Input::Stats => self.output.line(&self.statistics(transcript))?,
            Input::Wrong(text) => self.output.error(&text),
        }
        Ok(Next::Line)
    }

    /// Sends a message. One that gets no answer is told and forgotten; the chat goes on.
    fn ask(
        &self,
        transcript: &mut Transcript,
        message: String,
        interrupted: &mut bool,
    ) -> anyhow::Result<Next> {
        transcript.ask(message);
        let mut printer = Printer::new(self.output, self.shows_thinking);
        let outcome = self.responder.answer(transcript.messages(), &mut printer);
        printer.end_line()?;
        match outcome {
            Ok(answer) => {
                *interrupted = answer.finish.is_interrupted();
                self.close(&answer);
                transcript.answer(answer);
            }
            Err(AnswerError::Broken(error)) => return Err(error),
            Err(AnswerError::Refused(error)) => {
                transcript.take_back();
                match error.downcast_ref::<RequestError>() {
                    Some(RequestError::PromptTooLong { prompt_tokens, context_length }) => self.output.error(&format!(
                        "context full: the conversation has {prompt_tokens} tokens, the context holds {context_length}; \
                         /reset starts over, --context N makes more room"
                    )),
                    _ => self.output.error(&format!("{error:#}")),
                }
            }
        }
        Ok(Next::Line)
    }

    fn close(&self, answer: &Answer) {
        let limits = self.responder.limits();
        match (&answer.finish, limits.context_length) {
            (Finish::Engine(FinishReason::Cancelled), _) => self.output.note("(stopped; Ctrl-C again leaves)"),
            (Finish::Engine(FinishReason::Length(LengthCause::ContextLength)), Some(context_length)) => self.output.warn(&format!(
                "context full: {context_length} tokens; /reset starts over, --context N makes more room"
            )),
            (finish, _) => {
                if let Some(note) = finish.note(limits) {
                    self.output.note(&note);
                }
            }
        }
        if let Some(statistics) = answer.statistics.filter(|_| self.shows_statistics) {
            self.output.note(&statistics.describe());
        }
    }

    fn statistics(&self, transcript: &Transcript) -> String {
        let context_length = self.responder.limits().context_length;
        let Some(statistics) = transcript.last_statistics() else {
            return match context_length {
                Some(length) => format!("no answer yet; the context holds {length} tokens"),
                None => "no answer yet".to_owned(),
            };
        };
        let context = match (statistics.context_tokens(), context_length) {
            (Some(used), Some(length)) => format!(
                "\ncontext: {used} of {length} tokens used, {} left",
                length.saturating_sub(used)
            ),
            (Some(used), None) => format!("\ncontext: {used} tokens used"),
            (None, _) => String::new(),
        };
        statistics.describe() + &context
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
