//! An engine with its chat template and its output format.

use std::path::Path;
use std::sync::Arc;

use mlxm_engine::sampling::StopMatcher;
use mlxm_engine::text::SpecialTokens;
use mlxm_engine::{Engine, LoadError, LoadOptions, Request};

use crate::constraint::Compiler;
use crate::conversation::{ConversationOptions, render_conversation};
use crate::error::ChatError;
use crate::output_limits::{CallLimit, OutputLimits};
use crate::parsing::{Format, Parser, ReasoningFormat, Tool, ToolFormat};
use crate::request::{ChatRequest, GenerationParams, ResponseFormat, ToolChoice};
use crate::response_constraint::{constraint, warnings};
use crate::stream::ChatStream;
use crate::template::{ChatTemplate, TemplateError};

/// How a [`ChatModel`] formats prompts and parses output.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// Output syntaxes that override the detected ones.
    pub format: FormatOverride,
    /// Keep system prompt lines that known clients change with every request. They prevent prefix cache hits.
    pub keep_billing_header: bool,
    /// A template that replaces the checkpoint's.
    pub template: Option<ChatTemplate>,
    /// Which of several templates; by default `tool_use` if there are tools, else `default`.
    pub template_name: Option<String>,
    /// Most completions of a request ([`GenerationParams::n`](crate::GenerationParams::n)); by default unlimited.
    pub max_n: Option<usize>,
}

/// Overrides parts of a detected [`Format`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FormatOverride {
    /// Syntax of tool calls; `Some(None)` disables parsing and leaves the description of tools to the template.
    pub tools: Option<Option<ToolFormat>>,
    /// Syntax of reasoning; `Some(None)` leaves it in the content.
    pub reasoning: Option<Option<ReasoningFormat>>,
}

/// A loaded model with its chat template. Cheap to clone.
#[derive(Clone)]
pub struct ChatModel {
    engine: Engine,
    shared: Arc<Shared>,
}

struct Shared {
    template: Result<ChatTemplate, Arc<TemplateError>>,
    conversation: ConversationOptions,
    format: Format,
    max_n: Option<usize>,
    compiler: Compiler,
}

/// A rendered and tokenized conversation.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Token ids of the text.
    pub tokens: Vec<u32>,
    /// Syntax of the completion.
    pub(crate) format: Format,
    pub(crate) tools: Vec<Tool>,
    pub(crate) calls: CallLimit,
    /// Whether the completion continues a text of the prompt.
    continues: bool,
}

/// Validated engine requests for a [`ChatRequest`], ready to submit.
pub struct PreparedChat {
    /// The prompt.
    pub prompt: Prompt,
    /// One request per completion, without the prompt, for [`ChatModel::submit`].
    pub requests: Vec<Request>,
    /// What the request asks for and is not enforced: keywords of its JSON schema.
    pub warnings: Vec<String>,
}

impl ChatModel {
    /// Loads the checkpoint in the directory `path`.
    ///
    /// # Errors
    /// As [`Engine::load`]. A missing or invalid chat template is an error of the first chat request.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        Ok(Self::from_engine(&Engine::load(path, options)?))
    }

    /// Reads the chat template from the checkpoint directory of `engine`.
    pub fn from_engine(engine: &Engine) -> Self {
        Self::with_options(engine, ChatOptions::default())
    }

    /// As [`from_engine`](Self::from_engine), with options.
    pub fn with_options(engine: &Engine, options: ChatOptions) -> Self {
        let from_checkpoint =
            || ChatTemplate::from_dir(&engine.info().path, engine.tokenizer().special_tokens());
        let own = from_checkpoint();
        // A template given by the user is less reliable for detecting the syntax.
        let model_type = &engine.info().model_type;
        let (format, conversation) = conversation_options(own.as_ref().ok(), model_type, &options);
        Self {
            engine: engine.clone(),
            shared: Arc::new(Shared {
                template: options.template.map_or_else(|| own.map_err(Arc::new), Ok),
                conversation,
                format,
                max_n: options.max_n,
                compiler: Compiler::for_engine(engine),
            }),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The chat template.
    ///
    /// # Errors
    /// If the checkpoint has none, or an invalid one. Plain text completion works without a template.
    pub fn template(&self) -> Result<&ChatTemplate, &TemplateError> {
        self.shared.template.as_ref().map_err(AsRef::as_ref)
    }

    /// What the chat template supports.
    pub fn capabilities(&self) -> ChatCapabilities {
        ChatCapabilities::of(self.template().ok())
    }

    /// Syntax of tool calls and reasoning in the output.
    pub fn format(&self) -> Format {
        self.shared.format
    }

    /// Whether the model is known to reason before its response.
    pub fn supports_reasoning(&self) -> bool {
        !matches!(
            self.shared.format.reasoning,
            None | Some(ReasoningFormat::AnyTags)
        )
    }

    /// Compiles grammars to constraints for this model.
    pub fn compiler(&self) -> &Compiler {
        &self.shared.compiler
    }

    /// Whether the chat template reads a variable of this name.
    pub fn template_mentions(&self, variable: &str) -> bool {
        let source = self.template().ok().and_then(default_source);
        source.is_some_and(|source| source.contains(variable))
    }

    /// The id of a text that is a special token.
    pub fn special_token(&self, text: &str) -> Option<u32> {
        let tokenizer = self.engine.tokenizer();
        tokenizer
            .token_to_id(text)
            .filter(|id| tokenizer.is_special(*id))
    }

    /// The bytes of a token, which may be a part of a UTF-8 character.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        token_bytes(&self.engine, id)
    }

    /// Renders and tokenizes a conversation. With tool choice `none`, the tools stay in the prompt, so that its prefix stays
    /// cached, but calls are not parsed.
    ///
    /// # Errors
    /// If the template renders the messages in no form.
    pub fn prompt(&self, request: &ChatRequest) -> Result<Prompt, ChatError> {
        let template = self.shared.template.as_ref().map_err(Arc::clone)?;
        let rendered = render_conversation(template, request, &self.shared.conversation)?;
        // Calls that are left in the content do not restrict structured output.
        let tools = match (rendered.tool_format, &request.tool_choice) {
            (None, ToolChoice::Auto) => Vec::new(),
            _ => request.callable_tools(),
        };
        Ok(Prompt {
            tokens: self.engine.tokenizer().encode(&rendered.text, false)?,
            text: rendered.text,
            format: Format {
                tools: rendered.tool_format,
                ..self.format()
            },
            tools,
            calls: request.call_limit(),
            continues: request.continue_final_message,
        })
    }

    /// A prompt of plain text, without a chat template and without tools. Reasoning is parsed all the same.
    ///
    /// # Errors
    /// If the text cannot be tokenized.
    pub fn text_prompt(&self, text: impl Into<String>) -> Result<Prompt, ChatError> {
        let text = text.into();
        Ok(Prompt {
            tokens: self.engine.tokenizer().encode(&text, true)?,
            text,
            format: Format {
                tools: None,
                ..self.format()
            },
            tools: Vec::new(),
            calls: CallLimit::default(),
            continues: true,
        })
    }

    /// Renders the prompt, compiles the constraint and validates the parameters.
    ///
    /// # Errors
    /// If the request is invalid or cannot be enforced.
    pub fn prepare(&self, request: &ChatRequest) -> Result<PreparedChat, ChatError> {
        let mut requests = self.requests(&request.params)?;
        let prompt = self.prompt(request)?;
        let constraint = constraint(self, request, &prompt)?;
        let is_structured = request.response_format != ResponseFormat::Text;
        for request in &mut requests {
            request.constraint.clone_from(&constraint);
            if is_structured {
                // A stop string would truncate the output before it is complete.
                request.stop.clear();
            }
        }
        Ok(PreparedChat {
            prompt,
            requests,
            warnings: warnings(request),
        })
    }

    /// The engine requests of `n` completions, without a prompt. With a seed, they differ and each is reproducible.
    ///
    /// # Errors
    /// If a parameter is out of range.
    pub fn requests(&self, params: &GenerationParams) -> Result<Vec<Request>, ChatError> {
        let n = params.n.unwrap_or(1);
        let message = match self.shared.max_n {
            Some(max) if n == 0 || n > max => format!("n is {n}; it must be between 1 and {max}"),
            None if n == 0 => "n is 0; it must be at least 1".to_owned(),
            _ => {
                let mut requests = vec![params.request(&self.engine)?; n];
                for (index, request) in requests.iter_mut().enumerate() {
                    let seed = &mut request.sampling.seed;
                    *seed = seed.map(|seed| seed.wrapping_add(index as u64));
                }
                return Ok(requests);
            }
        };
        Err(ChatError::invalid("n", message))
    }

    /// Starts one completion; `n` is ignored.
    ///
    /// # Errors
    /// If the request is invalid, cannot be enforced, or the engine rejects it.
    pub fn generate(&self, request: &ChatRequest) -> Result<ChatStream, ChatError> {
        let params = GenerationParams {
            n: Some(1),
            ..request.params.clone()
        };
        let request = ChatRequest {
            params,
            ..request.clone()
        };
        let PreparedChat {
            prompt, requests, ..
        } = self.prepare(&request)?;
        let engine_request = requests.into_iter().next().unwrap_or_default();
        self.submit(&prompt, engine_request)
    }

    /// Starts `n` completions.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_n(&self, request: &ChatRequest) -> Result<Vec<ChatStream>, ChatError> {
        self.prepare(request)?.start(self)
    }

    /// Submits `request` with this prompt and parses its output. Its stop strings apply to the content only.
    ///
    /// # Errors
    /// If the engine rejects the request.
    pub fn submit(&self, prompt: &Prompt, mut request: Request) -> Result<ChatStream, ChatError> {
        // Stop strings apply to the content, which only the parser can tell from the rest.
        let stop = StopMatcher::new(std::mem::take(&mut request.stop))?;
        let request = Request {
            prompt: prompt.tokens.clone(),
            keep_special_tokens: self.delimiter_tokens(prompt.format),
            continues_prompt: prompt.continues,
            ..request
        };
        let generation = self.engine.submit(request)?;
        let parser = Parser::new(prompt.format, &prompt.text, &prompt.tools);
        let limits = OutputLimits::new(stop, prompt.calls);
        Ok(ChatStream::limited(generation, Some(parser), limits))
    }

    /// Special tokens that delimit parts of the output.
    fn delimiter_tokens(&self, format: Format) -> Arc<[u32]> {
        let delimiters = format.delimiters().into_iter();
        delimiters
            .filter_map(|delimiter| self.special_token(delimiter))
            .collect()
    }
}

impl PreparedChat {
    /// Submits all requests.
    ///
    /// # Errors
    /// If the engine rejects one; the others are cancelled then.
    pub fn start(self, model: &ChatModel) -> Result<Vec<ChatStream>, ChatError> {
        let requests = self.requests.into_iter();
        requests
            .map(|request| model.submit(&self.prompt, request))
            .collect()
    }
}

/// The bytes of a token, which may be a part of a UTF-8 character.
pub(crate) fn token_bytes(engine: &Engine, id: u32) -> Vec<u8> {
    let tokenizer = engine.tokenizer();
    tokenizer
        .token_bytes(id)
        .unwrap_or_else(|| tokenizer.decode(&[id], false).into_bytes())
}

/// The syntax of completions, and how conversations are rendered for it, from the checkpoint's own template.
pub(crate) fn conversation_options(
    own: Option<&ChatTemplate>,
    model_type: &str,
    options: &ChatOptions,
) -> (Format, ConversationOptions) {
    let detected = Format::detect(own.and_then(default_source), model_type);
    let format = Format {
        tools: options.format.tools.unwrap_or(detected.tools),
        reasoning: options.format.reasoning.unwrap_or(detected.reasoning),
    };
    let conversation = ConversationOptions {
        template_name: options.template_name.clone(),
        tool_format: format.tools,
        tool_format_is_chosen: options.format.tools.is_some(),
        keep_billing_header: options.keep_billing_header,
    };
    (format, conversation)
}

/// The source that shows the syntax of tool calls.
pub(crate) fn default_source(template: &ChatTemplate) -> Option<&str> {
    template
        .source("tool_use")
        .or_else(|| template.source("default"))
}

/// What a checkpoint supports in a chat, as far as its chat template shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Whether the checkpoint has a valid chat template.
    pub has_chat_template: bool,
    /// Whether the chat template reads tools.
    pub supports_tools: bool,
    /// Whether the chat template supports reasoning.
    pub supports_thinking: bool,
    /// Whether the chat template has a variable that turns reasoning off and on.
    pub has_thinking_switch: bool,
    /// Whether the chat template has a variable for the effort of reasoning.
    pub has_reasoning_effort: bool,
}

impl ChatCapabilities {
    /// Reads the chat template in a checkpoint directory; nothing is supported without a valid one.
    pub fn from_dir(directory: impl AsRef<Path>) -> Self {
        let template = ChatTemplate::from_dir(directory, &SpecialTokens::default());
        Self::of(template.as_ref().ok())
    }

    fn of(template: Option<&ChatTemplate>) -> Self {
        Self {
            has_chat_template: template.is_some(),
            supports_tools: template.is_some_and(ChatTemplate::supports_tools),
            supports_thinking: template.is_some_and(ChatTemplate::supports_thinking),
            has_thinking_switch: template.is_some_and(ChatTemplate::has_thinking_switch),
            has_reasoning_effort: template.is_some_and(ChatTemplate::has_reasoning_effort),
        }
    }
}
