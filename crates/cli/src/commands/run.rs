//! `mlxm run`: ask a model, once or in a chat.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mlxm_engine::{Engine, Request};
use serde_json::json;

use crate::chat::Chat;
use crate::context::Context;
use crate::failure::Failure;
use crate::generate::{Ending, Printer, describe, generate};
use crate::locate::{self, Fetch};
use crate::output::{Format, Output};
use crate::prompt::{Prompt, Prompter, TemplateArguments};
use crate::recorder::Recorder;
use crate::sampling::SamplingArguments;

/// Standard input that stays silent this long is mentioned, so that nobody waits for a program that waits for them.
const SILENCE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Without PROMPT on a terminal, a chat starts; /help lists its commands. Piped input is the prompt, or follows it.
Options that are not given come from the model's generation_config.json.

Examples:
  mlxm run SmolLM2 \"What is the capital of France? Answer in one sentence.\" --temp 0
  mlxm run SmolLM2
  mlxm run SmolLM2 \"Summarize this text.\" < article.txt
  mlxm run mlx-community/Qwen3-0.6B-4bit \"Is 91 prime?\" --pull --hide-thinking
  mlxm run SmolLM2 \"Once upon a time\" --raw --temp 0.8 --seed 1 --stop '.' --json";

/// Ask a model, or chat with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// Folder, repository name, or part of a local name
    model: String,

    /// The question; without it, standard input or a chat
    prompt: Option<String>,

    /// System prompt
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,

    /// Download the model without asking if it is not here
    #[arg(long)]
    pull: bool,

    /// Tokens of prompt and answer together [default: what the model was made for, at most 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    context: Option<u32>,

    /// Most tokens of the answer [default: half of the context]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,

    /// End the answer where this text appears; may be repeated
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Do not print the thinking of models that think
    #[arg(long)]
    hide_thinking: bool,

    /// Print speed and memory on stderr
    #[arg(long, visible_alias = "verbose", short_alias = 'v')]
    stats: bool,

    /// Print a JSON object per piece of text, then the result, one per line
    #[arg(long, conflicts_with = "quiet")]
    stream_json: bool,

    #[command(flatten)]
    template: TemplateArguments,

    #[command(flatten)]
    sampling: SamplingArguments,
}

/// The most tokens of an answer when none are given: half of the context, so that a chat has room for the question.
pub fn default_max_tokens(context_length: usize) -> usize {
    (context_length / 2).max(1)
}

impl Run {
    /// Answers the prompt, or chats.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let as_json = self.stream_json || context.output.format() == Format::Json;
        if self.sampling.logprobs.is_some() && !as_json {
            return Err(Failure::Usage(
                "--logprobs is part of the JSON output: add --json".to_owned(),
            )
            .into());
        }
        let question = self.question(context)?;
        let fetch = if self.pull { Fetch::Always } else { Fetch::Ask };
        let model = locate::local_or_fetched(context, &self.model, fetch)?;
        let mut options = context.load_options();
        options.context_length = self.context.map(|length| length as usize);
        let engine = context.load(&model, &options)?;
        let prompter = Prompter::new(&context.output, &engine, &self.template)?;
        let context_length = engine.memory_plan().context_length;
        let request = Request {
            sampling: self.sampling.apply(engine.default_sampling()),
            max_tokens: Some(self.max_tokens.map_or_else(
                || default_max_tokens(context_length),
                |limit| limit as usize,
            )),
            stop: self.stop.clone(),
            ..Request::default()
        };
        match question {
            Some(question) => {
                let mut messages = Vec::new();
                messages.extend(
                    self.system
                        .as_ref()
                        .map(|text| json!({"role": "system", "content": text})),
                );
                messages.push(json!({"role": "user", "content": question}));
                self.answer(context, &engine, prompter.chat(&messages)?, request)
            }
            None => Chat {
                output: &context.output,
                engine: &engine,
                model: &self.model,
                prompter: &prompter,
                request,
                shows_thinking: !self.hide_thinking,
                shows_statistics: self.stats,
            }
            .run(self.system.clone()),
        }
    }

    /// The prompt from the command line and standard input; `None` means a chat.
    fn question(&self, context: &Context) -> anyhow::Result<Option<String>> {
        let piped = if io::stdin().is_terminal() {
            None
        } else {
            Some(read_piped(&context.output)?)
        };
        let piped = piped
            .as_deref()
            .map(str::trim_end)
            .filter(|text| !text.is_empty());
        match (&self.prompt, piped) {
            (Some(prompt), Some(piped)) => Ok(Some(format!("{prompt}\n\n{piped}"))),
            (Some(prompt), None) if prompt.is_empty() => {
                Err(Failure::Usage("the prompt is empty".to_owned()).into())
            }
            (Some(prompt), None) => Ok(Some(prompt.clone())),
            (None, Some(piped)) => Ok(Some(piped.to_owned())),
            (None, None) => {
                let chats = io::stdin().is_terminal()
                    && context.output.is_terminal()
                    && context.output.format() == Format::Human
                    && !self.stream_json;
                if chats {
                    return Ok(None);
                }
                let message = "no prompt: give one as an argument or on standard input (a chat needs a terminal)";
                Err(Failure::Usage(message.to_owned()).into())
            }
        }
    }

    fn answer(
        &self,
        context: &Context,
        engine: &Engine,
        prompt: Prompt,
        mut request: Request,
    ) -> anyhow::Result<()> {
        let output = &context.output;
        request.prompt = prompt.tokens;
        let max_tokens = request.max_tokens.unwrap_or_default();
        let answer = if self.stream_json || output.format() == Format::Json {
            let mut recorder = if self.stream_json {
                Recorder::streaming(output)
            } else {
                Recorder::new(output)
            };
            let answer = generate(engine, request, &prompt.text, &mut recorder)?;
            recorder.finish(&engine.info().path, &answer)?;
            answer
        } else {
            let mut printer = Printer::new(output, !self.hide_thinking);
            let outcome = generate(engine, request, &prompt.text, &mut printer);
            printer.end_line()?;
            outcome?
        };
        if let Some(note) = answer
            .ending
            .note(engine.memory_plan().context_length, max_tokens)
        {
            output.note(&note);
        }
        if let Some(statistics) = answer.statistics.filter(|_| self.stats) {
            output.note(&describe(&statistics));
        }
        if answer.ending == Ending::Interrupted {
            return Err(Failure::Interrupted(String::new()).into());
        }
        Ok(())
    }
}

/// All of standard input. A prompt without the system's trailing line end is what `echo` and files mean.
fn read_piped(output: &Output) -> anyhow::Result<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let outcome = io::stdin().read_to_string(&mut text).map(|_| text);
        // Nobody listens any more when the command has ended.
        let _ = sender.send(outcome);
    });
    let outcome = if let Ok(outcome) = receiver.recv_timeout(SILENCE) {
        outcome
    } else {
        output.note(
            "waiting for standard input to end; without input for the model, add < /dev/null",
        );
        receiver.recv().context("standard input was not read")?
    };
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::advised(
            "standard input is not UTF-8 text",
            "convert it first, for example with iconv",
        )
        .into(),
        _ => anyhow::Error::new(error).context("cannot read standard input"),
    })
}
