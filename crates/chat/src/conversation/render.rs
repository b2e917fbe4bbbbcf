//! Renders a conversation in the form that the template accepts.

use serde_json::Value;

use super::cache_busting::strip_cache_busting_lines;
use super::message::{self, calls, role};
use super::parallel_calls::split_parallel_calls;
use super::system_messages::{late_to_reminders, leading_to_user, merge_leading};
use super::tool_definitions::complete_tools;
use super::tool_prompt::tool_prompt;
use super::{arguments, call_content, call_ids, call_text, reasoning, roles, tool_results};
use crate::parsing::ToolFormat;
use crate::request::{ChatRequest, ToolChoice};
use crate::template::{
    ArgumentForm, CallForm, ChatTemplate, ContentForm, RenderOptions, TemplateError,
    TemplateProfile, to_parts,
};

/// How conversations are rendered.
#[derive(Debug, Clone, Default)]
pub struct ConversationOptions {
    /// Which of several templates; by default `tool_use` if there are tools, else `default`.
    pub template_name: Option<String>,
    /// Syntax of tool calls that the model uses, if it is known.
    pub tool_format: Option<ToolFormat>,
    /// Whether the user chose the syntax, or chose to leave calls in the content.
    pub tool_format_is_chosen: bool,
    /// Keep system prompt lines that known clients change with every request.
    pub keep_billing_header: bool,
}

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedConversation {
    /// The prompt.
    pub text: String,
    /// Syntax of tool calls in the completion; `None` if it may have none.
    pub tool_format: Option<ToolFormat>,
}

/// How calls of the history are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallStyle {
    /// By the template.
    Template,
    /// Calls are part of the content, results and tools are rendered by the template.
    Content(ToolFormat),
    /// Tools, calls and results are text.
    Text,
}

/// One way to render a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    style: CallStyle,
    profile: TemplateProfile,
    /// What [`CallStyle::Text`] says about tools.
    tool_text: ToolText,
}

/// What the prompt says about tools that the template does not render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToolText {
    /// Nothing: the user leaves the tools to the template.
    Nothing,
    /// Their descriptions: the model is expected to know the syntax that the user chose.
    Descriptions,
    /// Their descriptions and the syntax of calls.
    DescriptionsAndSyntax,
}

impl ToolText {
    fn of(options: &ConversationOptions) -> Self {
        match options.tool_format {
            Some(ToolFormat::Harmony) => Self::Descriptions,
            Some(ToolFormat::Hermes) => Self::DescriptionsAndSyntax,
            _ if !options.tool_format_is_chosen => Self::DescriptionsAndSyntax,
            Some(_) => Self::Descriptions,
            None => Self::Nothing,
        }
    }
}

/// Most prefixes of a conversation that are rendered to find the message that the template rejects.
const MAX_PREFIXES: usize = 256;

/// Renders a conversation. Messages that the template does not support are rendered in a form that it does; if it fails
/// nevertheless, simpler forms are tried.
///
/// # Errors
/// [`TemplateError::Unrenderable`] if the template renders no form of the conversation, and others as [`ChatTemplate::render`].
pub fn render_conversation(
    template: &ChatTemplate,
    request: &ChatRequest,
    options: &ConversationOptions,
) -> Result<RenderedConversation, TemplateError> {
    let render_options = RenderOptions {
        add_generation_prompt: !request.continue_final_message,
        continue_final_message: request.continue_final_message,
        kwargs: request.template_kwargs.clone(),
        template_name: options.template_name.clone(),
        ..RenderOptions::default()
    };
    if request.messages.is_empty() || !request.messages.iter().all(Value::is_object) {
        // The error says what is wrong.
        let text = template.render(&request.messages, &render_options)?;
        return Ok(RenderedConversation {
            text,
            tool_format: None,
        });
    }
    let messages = prepare(request, options);
    let attempts = attempts(template, request, options)?;
    let mut first_error = None;
    for attempt in &attempts {
        match attempt.render(template, &messages, request, &render_options) {
            Ok(text) => {
                let tool_format = attempt.tool_format(request, options);
                return Ok(RenderedConversation { text, tool_format });
            }
            Err(error @ (TemplateError::Raised { .. } | TemplateError::Render { .. })) => {
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let fails = |attempt: &Attempt, count: usize| {
        let prefix = &messages[..count];
        attempt
            .render(template, prefix, request, &render_options)
            .is_err()
    };
    let advice = match attempts.last() {
        Some(last) if last.profile.renders => {
            let mut counts = 1..=messages.len().min(MAX_PREFIXES);
            let rejected = counts.find(|count| fails(last, *count));
            rejected.map_or_else(
                || "start a new conversation, or use another template".to_owned(),
                |count| {
                    let role = role(&messages[count - 1]);
                    format!("leave out message {count} ({role}), the first that the template rejects")
                },
            )
        }
        _ => "the template does not render even a single user message; check its variables, or use another template"
            .to_owned(),
    };
    Err(match first_error {
        Some(error) => TemplateError::Unrenderable {
            error: Box::new(error),
            advice,
        },
        None => TemplateError::Conversation(advice),
    })
}

/// The steps that do not depend on the template.
fn prepare(request: &ChatRequest, options: &ConversationOptions) -> Vec<Value> {
    let mut messages = request.messages.clone();
    for message in &mut messages {
        if message["content"].is_null() {
            message["content"] = "".into();
        }
        let without_calls = calls(message).is_empty();
        if let Value::Object(fields) = message
            && without_calls
        {
            // Some templates only look whether the field exists.
            fields.remove("tool_calls");
        }
    }
    arguments::to_objects(&mut messages);
    let mut messages = tool_results::place_results(messages);
    tool_results::name_results(&mut messages);
    if !options.keep_billing_header {
        strip_cache_busting_lines(&mut messages);
    }
    messages
}

/// The ways to render a conversation, the most faithful first.
fn attempts(
    template: &ChatTemplate,
    request: &ChatRequest,
    options: &ConversationOptions,
) -> Result<Vec<Attempt>, TemplateError> {
    let name = options.template_name.as_deref();
    let profile = template.profile(name, !request.tools.is_empty())?;
    let text = Attempt {
        style: CallStyle::Text,
        profile: template.profile(name, false).unwrap_or(profile),
        tool_text: ToolText::of(options),
    };
    let native = style(template, &profile, options);
    let first = native.map_or(text, |style| Attempt {
        style,
        profile,
        ..text
    });
    let without_system = TemplateProfile {
        system: false,
        ..text.profile.strict()
    };
    let mut attempts = vec![
        first,
        Attempt {
            profile: first.profile.strict(),
            ..first
        },
        text,
        Attempt {
            profile: without_system,
            ..text
        },
    ];
    attempts.dedup();
    Ok(attempts)
}

/// How the template renders calls. `None` if it does not read tools, or if no syntax of calls is known for it.
fn style(
    template: &ChatTemplate,
    profile: &TemplateProfile,
    options: &ConversationOptions,
) -> Option<CallStyle> {
    let knows_syntax = options.tool_format.is_some() || options.tool_format_is_chosen;
    if !template.supports_tools() || !knows_syntax || !profile.renders {
        return None;
    }
    if profile.calls.is_some() {
        return Some(CallStyle::Template);
    }
    let written = options
        .tool_format
        .filter(|format| call_text::writes(*format));
    written.filter(|_| profile.results).map(CallStyle::Content)
}

impl Attempt {
    fn render(
        &self,
        template: &ChatTemplate,
        messages: &[Value],
        request: &ChatRequest,
        options: &RenderOptions,
    ) -> Result<String, TemplateError> {
        let mut options = options.clone();
        if self.style != CallStyle::Text && !request.tools.is_empty() {
            options.tools = Some(if self.profile.bare_tools {
                request.tools.clone()
            } else {
                complete_tools(&request.tools)
            });
        }
        template.render(&self.normalize(messages.to_vec(), request), &options)
    }

    fn normalize(&self, messages: Vec<Value>, request: &ChatRequest) -> Vec<Value> {
        let profile = &self.profile;
        let form = profile.calls.filter(|_| self.style == CallStyle::Template);
        let mut messages = merge_leading(messages, profile);
        match self.style {
            CallStyle::Template => {}
            CallStyle::Content(format) => call_text::calls_to_content(&mut messages, format),
            CallStyle::Text => {
                call_text::all_to_text(&mut messages);
                if !request.tools.is_empty() && self.tool_text != ToolText::Nothing {
                    let explains_calls = self.tool_text == ToolText::DescriptionsAndSyntax;
                    let prompt = tool_prompt(&request.tools, explains_calls);
                    call_text::add_to_system(&mut messages, &prompt);
                }
            }
        }
        if let Some(form) = form {
            messages = in_call_form(messages, form);
        }
        if !profile.late_system {
            messages = late_to_reminders(messages);
        }
        if !profile.system {
            leading_to_user(&mut messages);
        }
        if !profile.empty_assistant {
            roles::remove_empty(&mut messages, request.continue_final_message);
        }
        if form.is_some_and(|form| !form.user_after_result) {
            messages = tool_results::append_user_text(messages);
        }
        if !profile.consecutive_roles {
            messages = roles::merge_consecutive(messages);
        }
        if let Some(form) = form {
            // The texts before it were merged into the message.
            messages = call_content::separate(messages, form.content);
        }
        roles::ensure_user(&mut messages, profile);
        match profile.content {
            ContentForm::Text => message::flatten_parts(&mut messages),
            ContentForm::Parts => to_parts(&mut messages),
            ContentForm::Any => {}
        }
        messages
    }

    /// Syntax of calls in the completion.
    fn tool_format(
        &self,
        request: &ChatRequest,
        options: &ConversationOptions,
    ) -> Option<ToolFormat> {
        if request.tools.is_empty() || request.tool_choice == ToolChoice::None {
            None
        } else if self.style == CallStyle::Text && self.tool_text == ToolText::DescriptionsAndSyntax
        {
            Some(ToolFormat::Hermes)
        } else {
            options.tool_format
        }
    }
}

fn in_call_form(mut messages: Vec<Value>, form: CallForm) -> Vec<Value> {
    if !form.orphan_results {
        tool_results::orphans_to_text(&mut messages);
    }
    call_ids::map_call_ids(&mut messages, form.ids);
    if form.arguments == ArgumentForm::Text {
        arguments::to_text(&mut messages);
    }
    if !form.reasoning_with_content {
        reasoning::merge_reasoning_before_calls(&mut messages);
    }
    if form.parallel {
        messages
    } else {
        split_parallel_calls(messages)
    }
}
