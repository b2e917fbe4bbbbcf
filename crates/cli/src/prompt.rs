//! Renders messages to prompt tokens.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use mlxm_chat::ChatModel;
use mlxm_chat::template::{ChatTemplate, RenderOptions, TemplateError};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::Output;

/// Chat template options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompt")]
pub struct TemplateArguments {
    /// Do not apply the chat template
    #[arg(long, conflicts_with_all = ["template", "template_kwargs", "think", "no_think", "system"])]
    pub raw: bool,

    /// Chat template: the name of one of the model's templates, or a Jinja file
    #[arg(long, value_name = "NAME|FILE")]
    pub template: Option<String>,

    /// Additional variables for the chat template, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    template_kwargs: Option<Map<String, Value>>,

    /// Enable thinking (sets enable_thinking=true in the chat template)
    #[arg(long, conflicts_with = "no_think")]
    think: bool,

    /// Disable thinking (sets enable_thinking=false in the chat template)
    #[arg(long)]
    no_think: bool,
}

impl TemplateArguments {
    /// Variables for the chat template.
    pub fn kwargs(&self) -> Map<String, Value> {
        let mut kwargs = self.template_kwargs.clone().unwrap_or_default();
        if self.think || self.no_think {
            kwargs.insert("enable_thinking".to_owned(), self.think.into());
        }
        kwargs
    }
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("not a JSON object; expected '{\"name\": value}'".to_owned()),
        Err(error) => Err(format!("not a JSON object: {error}")),
    }
}

/// A prompt as text and as tokens.
#[derive(Debug)]
pub struct Prompt {
    /// The rendered template.
    pub text: String,
    /// The encoded text.
    pub tokens: Vec<u32>,
}

/// Renders prompts for one model.
pub struct Prompter<'a> {
    model: &'a ChatModel,
    /// `None` concatenates the message contents.
    template: Option<ChatTemplate>,
    options: RenderOptions,
}

impl<'a> Prompter<'a> {
    /// Selects the template; prints a note if the model has none.
    pub fn new(
        output: &Output,
        model: &'a ChatModel,
        arguments: &TemplateArguments,
    ) -> anyhow::Result<Self> {
        let mut options = RenderOptions {
            add_generation_prompt: true,
            kwargs: arguments.kwargs(),
            ..RenderOptions::default()
        };
        let own = model.template();
        let template = match &arguments.template {
            _ if arguments.raw => None,
            Some(choice) => Some(chosen(choice, model, own.ok(), &mut options)?),
            None => match own {
                Ok(template) => Some(template.clone()),
                Err(TemplateError::Missing { .. }) => None,
                Err(error) => {
                    let hint = "use --template FILE for another template, or --raw for none";
                    return Err(Failure::with_hint(error.to_string(), hint).into());
                }
            },
        };
        if template.is_none() && !arguments.raw {
            output.note(
                "this model has no chat template; the prompt is used as is (set --template FILE, or --raw to silence this note)",
            );
        }
        Ok(Self {
            model,
            template,
            options,
        })
    }

    /// Renders a conversation.
    pub fn chat(&self, messages: &[Value]) -> anyhow::Result<Prompt> {
        let Some(template) = &self.template else {
            let text = joined(messages);
            let tokens = self.model.engine().tokenizer().encode(&text, true)?;
            return Ok(Prompt { text, tokens });
        };
        let text = template.render(messages, &self.options)?;
        let tokens = self.model.engine().tokenizer().encode(&text, false)?;
        Ok(Prompt { text, tokens })
    }
}

/// The prompt for a model without a chat template: the message contents, one per line.
pub fn joined(messages: &[Value]) -> String {
    let contents = messages
        .iter()
        .filter_map(|message| message["content"].as_str());
    contents.collect::<Vec<_>>().join("\n")
}

/// One of the model's templates by name, or a template file.
fn chosen(
    choice: &str,
    model: &ChatModel,
    own: Option<&ChatTemplate>,
    options: &mut RenderOptions,
) -> anyhow::Result<ChatTemplate> {
    let names: Vec<&str> = own
        .map(|template| template.names().collect())
        .unwrap_or_default();
    if let Some(template) = own.filter(|_| names.contains(&choice)) {
        options.template_name = Some(choice.to_owned());
        return Ok(template.clone());
    }
    let path = Path::new(choice);
    if !path.is_file() {
        let known = if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        return Err(Failure::Usage(format!(
            "--template {choice}: not a file or a template of this model ({known})"
        ))
        .into());
    }
    let source = std::fs::read_to_string(path).with_context(|| format!("cannot read {choice}"))?;
    ChatTemplate::from_source(source, model.engine().tokenizer().special_tokens())
        .with_context(|| format!("the template in {choice}"))
}
