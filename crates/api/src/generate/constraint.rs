//! What an answer is held to while it is generated.

use mlxm_chat::constraint::Grammar;
use mlxm_chat::parsing::Choice;
use mlxm_engine::sampling::Constraint;

use super::chat::{Chat, Prompt};
use super::thinking::ThinkingBudget;
use super::{OutputFormat, ToolChoice};
use crate::error::ApiError;
use crate::state::ServedModel;

/// The constraint that a conversation's answers start with, if any.
///
/// # Errors
/// When the shape that is asked for cannot be enforced.
pub fn constraint(
    model: &ServedModel,
    chat: &Chat,
    prompt: &Prompt,
) -> Result<Option<Box<dyn Constraint>>, ApiError> {
    let mut constraint: Option<Box<dyn Constraint>> = None;
    if let Some((grammar, param)) = grammar(model, chat, prompt)? {
        if !chat.params.stop.is_empty() {
            let message = "stop is not supported where an answer must have a form or be a call: it could be cut before it \
                           is one";
            return Err(ApiError::unsupported("stop", message));
        }
        let matcher = model.compiler.compile(&grammar);
        let matcher =
            matcher.map_err(|error| ApiError::field(param, format!("{param}: {error}")))?;
        constraint = Some(Box::new(matcher));
    }
    if let Some(budget) = chat.thinking_budget {
        let (format, text) = (prompt.format(), &prompt.text);
        constraint = Some(Box::new(ThinkingBudget::new(
            model, format, text, budget, constraint,
        )?));
    }
    Ok(constraint)
}

/// The grammar of an answer, and the field that asks for it.
fn grammar(
    model: &ServedModel,
    chat: &Chat,
    prompt: &Prompt,
) -> Result<Option<(Grammar, &'static str)>, ApiError> {
    let special = |text: &str| model.special_token(text);
    let (format, tools, text) = (prompt.format(), prompt.tools(), &prompt.text);
    let parallel = chat.parallel_tool_calls;
    let forced = match &chat.tool_choice {
        ToolChoice::Required => Some(Choice::Required),
        ToolChoice::Named(name) => Some(Choice::Named(name)),
        ToolChoice::Auto | ToolChoice::None => None,
    };
    if let Some(choice) = forced {
        // A call has no text that could have a form.
        let grammar = format.grammar(tools, choice, parallel, text, &special);
        let grammar = grammar.map_err(|error| ApiError::field("tool_choice", error.to_string()))?;
        return Ok(Some((Grammar::Lark(grammar), "tools")));
    }
    let param = "response_format";
    let (alone, form) = match &chat.output {
        OutputFormat::Text => return Ok(None),
        OutputFormat::JsonObject => (
            Grammar::JsonObject,
            r#"%json {"type": "object"}"#.to_owned(),
        ),
        OutputFormat::JsonSchema(schema) => (
            Grammar::JsonSchema(schema.clone()),
            format!("%json {schema}"),
        ),
        OutputFormat::Regex(_) | OutputFormat::Grammar(_) if !tools.is_empty() => {
            let message = "response_format may only ask for JSON where there are tools: leave one of them out, or set \
                           tool_choice to none";
            return Err(ApiError::unsupported(param, message));
        }
        OutputFormat::Regex(regex) => return Ok(Some((Grammar::Regex(regex.clone()), param))),
        OutputFormat::Grammar(grammar) => {
            return Ok(Some((Grammar::Lark(grammar.clone()), param)));
        }
    };
    let grammar = if tools.is_empty() {
        let behind = format.form_grammar(&form, text, &special);
        behind.map_or(alone, Grammar::Lark)
    } else {
        let either = format.calls_or_form_grammar(tools, parallel, &form, text, &special);
        let either = either.map_err(|error| {
            let message = format!("response_format beside tools is not supported: {error}");
            ApiError::unsupported(param, message)
        })?;
        Grammar::Lark(either)
    };
    Ok(Some((grammar, param)))
}
