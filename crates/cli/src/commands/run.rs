//! `mlxm run`: generate a completion, or chat interactively.

use std::io::{self, IsTerminal};

use clap::Args;
use mlxm_chat::ChatModel;
use mlxm_engine::Request;
use serde_json::{Map, Value, json};

use crate::chat::Chat;
use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Gateway, GatewayArguments};
use crate::generate::{Backend, BackendError, Local, Printer};
use crate::json_sink::JsonSink;
use crate::locate::{self, Fetch};
use crate::output::Format;
use crate::prompt::{PromptRenderer, TemplateArguments};
use crate::prompt_input::read_prompt;
use crate::remote::{Client, Endpoint, Remote, RemoteArguments, ServedModels};
use crate::sampling::SamplingArguments;

const EXAMPLES: &str = "\
Without PROMPT on a terminal, an interactive chat starts; /help lists its commands. Piped input is used as the prompt, or appended to it; \
a pipe that sends nothing for 2 seconds is ignored if there is a PROMPT.
Sampling defaults come from the model's generation_config.json.

If a gateway is running that has the model, it generates the completion, so that nothing is loaded twice; options that it cannot \
use, such as --threads, load the model in this process.

With --url, a running server generates the completion. MODEL can be omitted if the server has only one; a single argument is MODEL if the \
server has a model of that name, otherwise PROMPT. Options for local models are rejected.

Examples:
  mlxm run SmolLM2 \"What is the capital of France? Answer in one sentence.\" --temp 0
  mlxm run SmolLM2
  mlxm run SmolLM2 \"Summarize this text.\" < article.txt
  mlxm run mlx-community/Qwen3-0.6B-4bit \"Is 91 prime?\" --pull --hide-thinking
  mlxm run SmolLM2 \"Once upon a time\" --raw --temp 0.8 --seed 1 --stop '.' --json
  mlxm run SmolLM2 --in-process
  mlxm run --url http://127.0.0.1:8080 \"What is the capital of France?\"";

/// Generate a completion, or chat interactively
#[derive(Debug, Args)]
#[command(
    visible_alias = "chat",
    after_help = EXAMPLES,
    override_usage = "mlxm run [OPTIONS] <MODEL> [PROMPT]\n       mlxm run [OPTIONS] --url <URL> [MODEL] [PROMPT]"
)]
pub struct Run {
    /// Model directory, repository ID (owner/name), or unique part of a local model name; with --url, a model name on the server
    #[arg(required_unless_present = "url", add = complete::startable())]
    model: Option<String>,

    /// Prompt [default: standard input, or an interactive chat on a terminal]
    prompt: Option<String>,

    /// System prompt
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,

    /// Download the model without asking if it is not available locally
    #[arg(long)]
    pull: bool,

    /// Context length in tokens, prompt and completion together [default: the largest of the model's maximum, 64k,
    /// 32k, 16k and 8k that fits in memory]
    #[arg(long, value_name = "N", alias = "context", value_parser = clap::value_parser!(u32).range(2..))]
    context_length: Option<u32>,

    /// Maximum number of new tokens [default: half of the context length, or the server's default]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,

    /// Stop sequence; can be repeated
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Do not print thinking (reasoning) output
    #[arg(long)]
    hide_thinking: bool,

    /// Print token counts, speed and memory use to stderr
    #[arg(long, visible_alias = "verbose", short_alias = 'v')]
    stats: bool,

    /// Stream output as JSON lines: one object per text delta, then the result
    #[arg(long, conflicts_with = "quiet")]
    stream_json: bool,

    /// Load the model in this process, also if a gateway is running
    #[arg(long, conflicts_with = "url")]
    in_process: bool,

    #[command(flatten)]
    remote: RemoteArguments,

    #[command(flatten)]
    template: TemplateArguments,

    #[command(flatten)]
    sampling: SamplingArguments,
}

/// Default for `--max-tokens`: half of the context length, which leaves room for the prompt.
pub fn default_max_tokens(context_length: usize) -> usize {
    (context_length / 2).max(1)
}

impl Run {
    /// Generates a completion, or starts a chat.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let as_json = self.stream_json || context.output.format() == Format::Json;
        if self.sampling.logprobs.is_some() && !as_json {
            return Err(
                Failure::Usage("--logprobs requires --json or --stream-json".to_owned()).into(),
            );
        }
        if let Some(client) = self.remote.client()? {
            return self.run_remote(context, &client);
        }
        match self.find_gateway(context)? {
            Some((gateway, model)) => {
                let prompt = self.prompt.as_deref();
                self.run_on_server(context, gateway.client(), model, prompt)
            }
            None => self.run_local(context),
        }
    }

    /// The running gateway and its name for the model; `None` if the model is loaded in this process.
    fn find_gateway(&self, context: &Context) -> anyhow::Result<Option<(Gateway, String)>> {
        let Some(name) = self.model.as_deref().filter(|_| !self.in_process) else {
            return Ok(None);
        };
        let Some(gateway) = GatewayArguments::default().find()? else {
            return Ok(None);
        };
        let local = context.local_options(&[
            (self.context_length.is_some(), "--context-length"),
            (self.template.template.is_some(), "--template"),
        ]);
        if !local.is_empty() {
            context.output.note(&format!(
                "the running gateway cannot use {}: loading the model in this process",
                local.join(", ")
            ));
            return Ok(None);
        }
        let model = ServedModels::fetch(gateway.client())?.lookup(name);
        Ok(model.map(|model| (gateway, model)))
    }

    fn run_local(&self, context: &Context) -> anyhow::Result<()> {
        let Some(name) = &self.model else {
            return Err(Failure::Usage("no model".to_owned()).into());
        };
        let prompt = read_prompt(
            self.prompt.as_deref(),
            self.may_chat(context),
            &context.output,
        )?;
        let fetch = if self.pull { Fetch::Always } else { Fetch::Ask };
        let model = locate::local_or_fetched(context, name, fetch)?;
        let mut options = context.load_options();
        options.context_length = self.context_length.map(|length| length as usize);
        let engine = context.load(&model, &options)?;
        let model = ChatModel::from_engine(&engine);
        let renderer = PromptRenderer::new(&context.output, &model, &self.template)?;
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
        let local = Local {
            renderer: &renderer,
            request,
        };
        self.generate_or_chat(context, &local, name, prompt)
    }

    fn run_remote(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        context.reject_local_options(&[
            (self.pull, "--pull"),
            (self.context_length.is_some(), "--context-length"),
            (self.template.template.is_some(), "--template"),
        ])?;
        let served = ServedModels::fetch(client)?;
        let (model, prompt) = match (&self.model, &self.prompt) {
            (Some(model), Some(prompt)) => (served.resolve(model), Some(prompt.as_str())),
            (Some(only), None) => match served.find(only) {
                Some(model) => (model, None),
                None => (served.only()?, Some(only.as_str())),
            },
            (None, _) => (served.only()?, None),
        };
        self.run_on_server(context, client, model, prompt)
    }

    fn run_on_server(
        &self,
        context: &Context,
        client: &Client,
        model: String,
        prompt: Option<&str>,
    ) -> anyhow::Result<()> {
        let prompt = read_prompt(prompt, self.may_chat(context), &context.output)?;
        let endpoint = if self.template.raw {
            Endpoint::Completion
        } else {
            Endpoint::Chat
        };
        let parameters = self.parameters(endpoint);
        let remote = Remote::new(context, client, model, endpoint, parameters);
        self.generate_or_chat(context, &remote, &remote.name(), prompt)
    }

    /// The given options under their API names; the server chooses defaults for the others.
    fn parameters(&self, endpoint: Endpoint) -> Map<String, Value> {
        let mut parameters = self.sampling.parameters();
        let mut add = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
        if let Some(limit) = self.max_tokens {
            add("max_tokens", limit.into());
        }
        if !self.stop.is_empty() {
            add("stop", self.stop.clone().into());
        }
        match (self.sampling.logprobs, endpoint) {
            (Some(count), Endpoint::Chat) => {
                add("logprobs", true.into());
                add("top_logprobs", count.into());
            }
            (Some(count), Endpoint::Completion) => {
                add("logprobs", count.into());
            }
            (None, _) => {}
        }
        let kwargs = self.template.kwargs();
        if !kwargs.is_empty() {
            add("chat_template_kwargs", kwargs.into());
        }
        parameters
    }

    fn may_chat(&self, context: &Context) -> bool {
        io::stdin().is_terminal()
            && context.output.is_terminal()
            && context.output.format() == Format::Human
            && !self.stream_json
    }

    /// Generates a completion for the prompt, or chats without one.
    fn generate_or_chat(
        &self,
        context: &Context,
        backend: &dyn Backend,
        model: &str,
        prompt: Option<String>,
    ) -> anyhow::Result<()> {
        match prompt {
            Some(prompt) => {
                let mut messages = Vec::new();
                messages.extend(
                    self.system
                        .as_ref()
                        .map(|text| json!({"role": "system", "content": text})),
                );
                messages.push(json!({"role": "user", "content": prompt}));
                self.generate(context, backend, &messages)
            }
            None => Chat {
                output: &context.output,
                backend,
                model,
                show_reasoning: !self.hide_thinking,
                show_metrics: self.stats,
            }
            .run(self.system.clone()),
        }
    }

    /// Generates and prints one completion.
    fn generate(
        &self,
        context: &Context,
        backend: &dyn Backend,
        messages: &[Value],
    ) -> anyhow::Result<()> {
        let output = &context.output;
        let completion = if self.stream_json || output.format() == Format::Json {
            let mut json_sink = if self.stream_json {
                JsonSink::streaming(output)
            } else {
                JsonSink::new(output)
            };
            let outcome = backend.generate(messages, &mut json_sink);
            let completion = outcome.map_err(BackendError::into_inner)?;
            json_sink.finish(&backend.name(), &completion)?;
            completion
        } else {
            let mut printer = Printer::new(output, !self.hide_thinking);
            let outcome = backend.generate(messages, &mut printer);
            printer.end_line()?;
            outcome.map_err(BackendError::into_inner)?
        };
        if let Some(note) = completion.finish.note(backend.limits()) {
            output.note(&note);
        }
        if let Some(metrics) = completion.metrics.filter(|_| self.stats) {
            output.note(&metrics.describe());
        }
        if completion.finish.is_interrupted() {
            return Err(Failure::Interrupted(String::new()).into());
        }
        Ok(())
    }
}
