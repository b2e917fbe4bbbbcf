//! The chat templates of a checkpoint.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::DateTime;
use minijinja::{Environment, Error};
use serde_json::{Map, Value};

use super::environment::{RaisedException, environment};
use super::error::TemplateError;
use super::loading::{self, DEFAULT};
use super::messages::{Continuation, normalize};
use super::profile::TemplateProfile;
use super::{python, source};
use crate::parsing::opening_tags;
use mlxm_engine::text::{SpecialTokens, Tokenizer};

/// The template that is preferred with tools.
const TOOL_USE: &str = "tool_use";

/// The chat templates of one checkpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    sources: Arc<BTreeMap<String, String>>,
    special_tokens: SpecialTokens,
    profiles: Arc<Mutex<Profiles>>,
}

/// Profiles by the name of the template and whether there are tools.
type Profiles = BTreeMap<(String, bool), TemplateProfile>;

/// What to render in addition to the messages.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// Tools that the model may call, in OpenAI's format.
    pub tools: Option<Vec<Value>>,
    /// Documents for templates that support retrieval.
    pub documents: Option<Vec<Value>>,
    /// End with the header of the assistant's message.
    pub add_generation_prompt: bool,
    /// Leave the last message open so that the model continues it. Excludes `add_generation_prompt`.
    pub continue_final_message: bool,
    /// Further variables of the template, such as `enable_thinking`. They override special tokens of the same name.
    pub kwargs: Map<String, Value>,
    /// Which of several templates; by default `tool_use` if there are tools, else `default`.
    pub template_name: Option<String>,
    /// The time of `strftime_now`; by default the local time.
    pub now: Option<DateTime>,
}

impl ChatTemplate {
    /// Reads the templates of a checkpoint directory: chat_template.jinja with additional_chat_templates/, else
    /// `chat_template` in tokenizer_config.json, else chat_template.json.
    ///
    /// # Errors
    /// [`TemplateError::Missing`] if there is none, [`TemplateError::Syntax`] if one is not valid Jinja.
    pub fn from_dir(
        directory: impl AsRef<Path>,
        special_tokens: &SpecialTokens,
    ) -> Result<Self, TemplateError> {
        Self::new(loading::load(directory.as_ref())?, special_tokens)
    }

    /// A template from its source.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] if it is not valid Jinja.
    pub fn from_source(
        source: impl Into<String>,
        special_tokens: &SpecialTokens,
    ) -> Result<Self, TemplateError> {
        Self::new(
            BTreeMap::from([(DEFAULT.to_owned(), source.into())]),
            special_tokens,
        )
    }

    fn new(
        sources: BTreeMap<String, String>,
        special_tokens: &SpecialTokens,
    ) -> Result<Self, TemplateError> {
        let syntax_error = |name: &str, error: &Error| TemplateError::Syntax {
            name: name.to_owned(),
            line: error.line().unwrap_or(1),
            reason: describe(error),
        };
        let mut environment = environment().map_err(|error| syntax_error(DEFAULT, &error))?;
        for (name, text) in &sources {
            source::check_complexity(text).map_err(|error| TemplateError::Syntax {
                name: name.clone(),
                line: error.line,
                reason: error.reason,
            })?;
            // Builds that check for overflows panic at an error beyond column 65,535.
            let add = || environment.add_template_owned(name.clone(), source::rewrite(text));
            catch_unwind(AssertUnwindSafe(add))
                .map_err(|_| TemplateError::Syntax {
                    name: name.clone(),
                    line: 1,
                    reason: "a line is too long to be parsed".to_owned(),
                })?
                .map_err(|error| syntax_error(name, &error))?;
        }
        Ok(Self {
            environment: Arc::new(environment),
            sources: Arc::new(sources),
            special_tokens: special_tokens.clone(),
            profiles: Arc::default(),
        })
    }

    /// The prompt for a conversation. Messages are objects with `role`, `content` and whatever else the template reads
    /// (`tool_calls`, `reasoning_content`, ...).
    ///
    /// # Errors
    /// [`TemplateError::Raised`] if the template calls `raise_exception`, [`TemplateError::Render`] if rendering fails; both
    /// contain the line.
    pub fn render(
        &self,
        messages: &[Value],
        options: &RenderOptions,
    ) -> Result<String, TemplateError> {
        let name = self.choose(options.template_name.as_deref(), options.tools.is_some())?;
        let mut messages = normalize(messages)?;
        if options.continue_final_message && options.add_generation_prompt {
            return Err(TemplateError::Conversation(
                "continue_final_message and add_generation_prompt exclude each other".to_owned(),
            ));
        }
        let continuation = if options.continue_final_message {
            Some(Continuation::mark(&mut messages)?)
        } else {
            None
        };
        let messages = Value::Array(messages.into_iter().map(Value::Object).collect());
        let rendered = self
            .environment
            .get_template(&name)
            .and_then(|template| template.render(self.context(&messages, options)))
            .map_err(|error| render_error(&name, &error))?;
        match continuation {
            Some(continuation) => continuation.cut(rendered),
            None => Ok(rendered),
        }
    }

    /// The prompt as token ids. No special tokens are added: a BOS token occurs only if the template writes it.
    ///
    /// # Errors
    /// As [`render`](Self::render), and [`TemplateError::Tokenizer`].
    pub fn apply(
        &self,
        messages: &[Value],
        options: &RenderOptions,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, TemplateError> {
        Ok(tokenizer.encode(&self.render(messages, options)?, false)?)
    }

    /// What the template can render, without or with tools. It is probed once.
    ///
    /// # Errors
    /// [`TemplateError::UnknownName`] if there is no template `name`.
    pub fn profile(
        &self,
        name: Option<&str>,
        with_tools: bool,
    ) -> Result<TemplateProfile, TemplateError> {
        let name = self.choose(name, with_tools)?;
        let profiles = || self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, with_tools);
        let known = profiles().get(&key).copied();
        if let Some(profile) = known {
            return Ok(profile);
        }
        let knows_developer = self.sources[&key.0].contains("developer");
        let profile = TemplateProfile::probe(self, &key.0, with_tools, knows_developer);
        profiles().insert(key, profile);
        Ok(profile)
    }

    /// Whether a template of the checkpoint reads `tools`.
    pub fn supports_tools(&self) -> bool {
        self.sources.contains_key(TOOL_USE) || self.reads("tools")
    }

    /// Whether a template reads `enable_thinking` or contains a reasoning tag.
    pub fn supports_thinking(&self) -> bool {
        self.has_thinking_switch()
            || self
                .sources
                .values()
                .any(|text| opening_tags().any(|tag| text.contains(tag)))
    }

    /// Whether a template reads `enable_thinking`, so that reasoning can be turned off and on.
    pub fn has_thinking_switch(&self) -> bool {
        self.reads("enable_thinking")
    }

    /// Whether a template reads `reasoning_effort`.
    pub fn has_reasoning_effort(&self) -> bool {
        self.reads("reasoning_effort")
    }

    /// The names of the templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// The original source of a template.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.sources.get(name).map(String::as_str)
    }

    fn reads(&self, variable: &str) -> bool {
        self.sources
            .values()
            .any(|text| source::mentions(text, variable))
    }

    fn choose(&self, name: Option<&str>, with_tools: bool) -> Result<String, TemplateError> {
        let has = |name: &str| self.sources.contains_key(name);
        let name = match name {
            Some(name) => name,
            None if with_tools && has(TOOL_USE) => TOOL_USE,
            None => DEFAULT,
        };
        if has(name) {
            Ok(name.to_owned())
        } else {
            Err(TemplateError::UnknownName {
                name: name.to_owned(),
                known: self.sources.keys().cloned().collect(),
            })
        }
    }

    fn context(&self, messages: &Value, options: &RenderOptions) -> minijinja::Value {
        let list = |items: &Option<Vec<Value>>| {
            items.as_ref().map_or_else(
                || minijinja::Value::from(()),
                |items| items.iter().map(python::from_json).collect(),
            )
        };
        let now = options.now.unwrap_or_else(|| jiff::Zoned::now().datetime());
        let mut variables: BTreeMap<String, minijinja::Value> = BTreeMap::new();
        variables.insert(
            "strftime_now".to_owned(),
            minijinja::Value::from_function(move |format: &str| python::strftime(now, format)),
        );
        for (name, content) in self.special_tokens.iter() {
            variables.insert(name.to_owned(), minijinja::Value::from(content));
        }
        for (name, value) in &options.kwargs {
            variables.insert(name.clone(), python::from_json(value));
        }
        variables.insert("messages".to_owned(), python::from_json(messages));
        variables.insert("tools".to_owned(), list(&options.tools));
        variables.insert("documents".to_owned(), list(&options.documents));
        variables.insert(
            "add_generation_prompt".to_owned(),
            options.add_generation_prompt.into(),
        );
        minijinja::Value::from(variables)
    }
}

fn render_error(name: &str, error: &Error) -> TemplateError {
    let name = name.to_owned();
    let line = error.line().unwrap_or(1);
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(RaisedException(message)) = inner.downcast_ref() {
            return TemplateError::Raised {
                name,
                line,
                message: message.clone(),
            };
        }
        source = inner.source();
    }
    TemplateError::Render {
        name,
        line,
        reason: describe(error),
    }
}

fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
