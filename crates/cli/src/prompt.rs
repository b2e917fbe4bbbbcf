//! Renders messages to prompt tokens.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use mlxm_chat::template::{ChatTemplate, TemplateError};
use mlxm_chat::{ChatError, ChatModel, ChatOptions, ChatRequest, Prompt};
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

/// Renders prompts for one model.
pub struct PromptRenderer {
    model: ChatModel,
    kwargs: Map<String, Value>,
    /// Without a template, the message contents are concatenated.
    has_template: bool,
}

impl PromptRenderer {
    /// Selects the template; prints a note if the model has none.
    pub fn new(
        output: &Output,
        model: &ChatModel,
        arguments: &TemplateArguments,
    ) -> anyhow::Result<Self> {
        let default_template = model.template();
        let mut options = ChatOptions::default();
        let has_template = match &arguments.template {
            _ if arguments.raw => false,
            Some(choice) => {
                select_template(choice, model, default_template.ok(), &mut options)?;
                true
            }
            None => match default_template {
                Ok(_) => true,
                Err(TemplateError::Missing { .. }) => false,
                Err(error) => {
                    let hint = "use --template FILE for another template, or --raw for none";
                    return Err(Failure::with_hint(error.to_string(), hint).into());
                }
            },
        };
        if !has_template && !arguments.raw {
            output.note(
                "this model has no chat template; the prompt is used as is (set --template FILE, or --raw to silence this note)",
            );
        }
        Ok(Self {
            model: ChatModel::with_options(model.engine(), options),
            kwargs: arguments.kwargs(),
            has_template,
        })
    }

    /// The model with the selected template.
    pub fn model(&self) -> &ChatModel {
        &self.model
    }

    /// Renders a conversation.
    pub fn render(&self, messages: &[Value]) -> Result<Prompt, ChatError> {
        if !self.has_template {
            return self.model.text_prompt(concatenate_contents(messages));
        }
        self.model.prompt(&ChatRequest {
            messages: messages.to_vec(),
            template_kwargs: self.kwargs.clone(),
            ..ChatRequest::default()
        })
    }
}

/// The prompt for a model without a chat template: the message contents, one per line.
pub fn concatenate_contents(messages: &[Value]) -> String {
    let contents = messages
        .iter()
        .filter_map(|message| message["content"].as_str());
    contents.collect::<Vec<_>>().join("\n")
}

/// Selects one of the model's templates by name, or a template file.
fn select_template(
    choice: &str,
    model: &ChatModel,
    default_template: Option<&ChatTemplate>,
    options: &mut ChatOptions,
) -> anyhow::Result<()> {
    let names: Vec<&str> = default_template
        .map(|template| template.names().collect())
        .unwrap_or_default();
    if names.contains(&choice) {
        options.template_name = Some(choice.to_owned());
        return Ok(());
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
    let special_tokens = model.engine().tokenizer().special_tokens();
    let template = ChatTemplate::from_source(source, special_tokens)
        .with_context(|| format!("the template in {choice}"))?;
    options.template = Some(template);
    Ok(())
}
