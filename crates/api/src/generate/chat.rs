//! A conversation to be continued, whichever protocol it came through.

use std::sync::Arc;
use std::time::Instant;

use mlxm_chat::parsing::{Format, Parser, Tool, ToolFormat};
use mlxm_chat::template::RenderOptions;
use mlxm_engine::Request;
use serde_json::{Map, Value};

use super::{Completion, GenerationParams, OutputFormat};
use super::{instructions, nonces, plain_tools};
use crate::error::ApiError;
use crate::state::{AppState, ServedModel};

/// Whether and which tools the model calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A conversation in the form that chat templates read, and how it is to be continued.
#[derive(Debug, Clone, Default)]
pub struct Chat {
    /// Objects with `role` and `content`; calls have their arguments as objects.
    pub messages: Vec<Value>,
    /// `{"type": "function", "function": {"name", "description", "parameters"}}`.
    pub tools: Vec<Value>,
    pub tool_choice: ToolChoice,
    /// Whether one answer may hold several calls.
    pub parallel_tool_calls: bool,
    pub output: OutputFormat,
    /// Variables for the template.
    pub template_kwargs: Map<String, Value>,
    /// Go on with the last message instead of answering it.
    pub continues_last_message: bool,
    /// Tokens of reasoning at most.
    pub thinking_budget: Option<usize>,
    pub params: GenerationParams,
}

/// The prompt of a conversation.
pub struct Prompt {
    pub text: String,
    pub tokens: Vec<u32>,
    /// How the answer's calls are written.
    format: Format,
    tools: Vec<Tool>,
}

/// Answers that have begun.
pub struct Started {
    pub prompt_tokens: usize,
    pub answers: Vec<Completion>,
}

impl Chat {
    /// The conversation as the model reads it.
    ///
    /// # Errors
    /// When it makes no sense, or the template refuses it.
    pub fn prompt(&self, model: &ServedModel) -> Result<Prompt, ApiError> {
        let tools = self.tools()?;
        let template = model.chat.template().map_err(ApiError::from)?;
        let mut options = RenderOptions {
            add_generation_prompt: !self.continues_last_message,
            continue_final_message: self.continues_last_message,
            kwargs: self.template_kwargs.clone(),
            ..RenderOptions::default()
        };
        let mut format = model.format;
        let knows_developers = model.template_mentions("developer");
        let mut messages =
            instructions::merge_system_messages(self.messages.clone(), knows_developers);
        if !model.keep_billing_header {
            nonces::leave_out(&mut messages);
        }
        if tools.is_empty() {
            format.tools = None;
        } else if template.supports_tools() && format.tools.is_some() {
            options.tools = Some(self.tools.clone());
        } else {
            format.tools = Some(ToolFormat::Hermes);
            messages = plain_tools::describe(&messages, &self.tools);
        }
        let text = template.render(&messages, &options)?;
        let tokens = model.engine.tokenizer().encode(&text, false)?;
        Ok(Prompt {
            text,
            tokens,
            format,
            tools,
        })
    }

    /// The tools that may be called.
    fn tools(&self) -> Result<Vec<Tool>, ApiError> {
        if self.tool_choice == ToolChoice::None {
            return Ok(Vec::new());
        }
        let tools: Vec<Tool> = self.tools.iter().map(tool).collect();
        match &self.tool_choice {
            ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
                let message = format!("tool_choice names `{name}`, which is not among the tools");
                Err(ApiError::field("tool_choice", message))
            }
            ToolChoice::Required if tools.is_empty() => {
                let message = "tool_choice asks for a call, but there are no tools";
                Err(ApiError::field("tool_choice", message))
            }
            _ => Ok(tools),
        }
    }

    /// Starts the answers. Rendering and tokenizing happen beside the server's own threads.
    ///
    /// # Errors
    /// When the request makes no sense or there is no room for it.
    pub async fn start(self, server: &AppState, received_at: Instant) -> Result<Started, ApiError> {
        let own = server.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let model = own.model()?;
            let prompt = self.prompt(model)?;
            let constraint = super::constraint::constraint(model, &self, &prompt)?;
            let requests = self.params.requests(model, &own.options().limits)?;
            Ok::<_, ApiError>((prompt, constraint, requests))
        });
        let (prompt, constraint, requests) = prepared
            .await
            .map_err(|_| ApiError::internal("the request could not be prepared"))??;
        let model = server.model()?;
        let markers = model.markers(prompt.format);
        let answers = requests
            .into_iter()
            .map(|request| {
                let request = Request {
                    prompt: prompt.tokens.clone(),
                    keep_special_tokens: Arc::clone(&markers),
                    constraint: constraint.clone(),
                    ..request
                };
                let parser = Parser::new(prompt.format, &prompt.text, &prompt.tools);
                server.submit(model, request, Some(parser), received_at)
            })
            .collect::<Result<_, _>>()?;
        Ok(Started {
            prompt_tokens: prompt.tokens.len(),
            answers,
        })
    }
}

impl Prompt {
    /// Tools that the answer may call.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// How the answer is written.
    pub fn format(&self) -> Format {
        self.format
    }
}

fn tool(tool: &Value) -> Tool {
    let function = &tool["function"];
    Tool {
        name: function["name"].as_str().unwrap_or_default().to_owned(),
        parameters: match &function["parameters"] {
            Value::Null => serde_json::json!({"type": "object", "properties": {}}),
            parameters => parameters.clone(),
        },
    }
}
