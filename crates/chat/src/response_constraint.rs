//! The constraint on a completion: forced tool calls, structured output, thinking budget.

use mlxm_engine::sampling::Constraint;

use crate::constraint::Grammar;
use crate::error::ChatError;
use crate::lark;
use crate::model::{ChatModel, Prompt};
use crate::parsing::{ForcedCall, Tool};
use crate::request::{ChatRequest, ResponseFormat, ToolChoice};
use crate::thinking_budget::ThinkingBudget;

/// The constraint that the completions of a request start with, if any.
///
/// # Errors
/// If the request cannot be enforced.
pub(crate) fn constraint(
    model: &ChatModel,
    request: &ChatRequest,
    prompt: &Prompt,
) -> Result<Option<Box<dyn Constraint>>, ChatError> {
    let mut constraint: Option<Box<dyn Constraint>> = None;
    if let Some((grammar, parameter)) = grammar(model, request, prompt)? {
        let matcher = model.compiler().compile(&grammar);
        let matcher = matcher.map_err(|error| {
            let in_tool = tool_error(&prompt.tools);
            in_tool.unwrap_or(ChatError::Grammar { parameter, error })
        })?;
        constraint = Some(Box::new(matcher));
    }
    if let Some(budget) = request.thinking_budget {
        let engine = model.engine();
        constraint = Some(Box::new(ThinkingBudget::new(
            engine,
            prompt.format,
            &prompt.text,
            budget,
            constraint,
        )?));
    }
    Ok(constraint)
}

/// The first tool whose schema cannot be enforced.
fn tool_error(tools: &[Tool]) -> Option<ChatError> {
    tools.iter().enumerate().find_map(|(index, tool)| {
        let error = lark::prepare(&lark::json_arguments(tool)).err()?;
        let name = tool.name.clone();
        Some(ChatError::ToolSchema { index, name, error })
    })
}

/// The grammar of a completion, and the parameter of the request that it comes from.
fn grammar(
    model: &ChatModel,
    request: &ChatRequest,
    prompt: &Prompt,
) -> Result<Option<(Grammar, &'static str)>, ChatError> {
    let special = |text: &str| model.special_token(text);
    let (format, tools, text) = (prompt.format, &prompt.tools, &prompt.text);
    let parallel = request.allows_parallel_calls();
    let forced = match &request.tool_choice {
        ToolChoice::Required => Some(ForcedCall::Required),
        ToolChoice::Named(name) => Some(ForcedCall::Named(name)),
        ToolChoice::Auto | ToolChoice::None => None,
    };
    if let Some(choice) = forced {
        // Calls have no content, so the response format does not apply.
        let grammar = format.tool_grammar(tools, choice, parallel, text, &special);
        let grammar = grammar.map_err(|error| ChatError::Grammar {
            parameter: "tool_choice",
            error,
        })?;
        return Ok(Some((Grammar::Lark(grammar), "tools")));
    }
    let parameter = "response_format";
    let (unwrapped, response) = match &request.response_format {
        ResponseFormat::Text => return Ok(None),
        ResponseFormat::JsonObject => (
            Grammar::JsonObject,
            r#"%json {"type": "object"}"#.to_owned(),
        ),
        ResponseFormat::JsonSchema(schema) => (
            Grammar::JsonSchema(schema.clone()),
            format!("%json {schema}"),
        ),
        ResponseFormat::Regex(_) | ResponseFormat::Grammar(_) if !tools.is_empty() => {
            return Err(ChatError::OnlyJsonWithTools);
        }
        ResponseFormat::Regex(regex) => {
            return Ok(Some((Grammar::Regex(regex.clone()), parameter)));
        }
        ResponseFormat::Grammar(grammar) => {
            return Ok(Some((Grammar::Lark(grammar.clone()), parameter)));
        }
    };
    let grammar = if tools.is_empty() {
        let with_reasoning = format.response_grammar(&response, text, &special);
        with_reasoning.map_or(unwrapped, Grammar::Lark)
    } else {
        let grammar = format.tools_or_response_grammar(tools, parallel, &response, text, &special);
        Grammar::Lark(grammar.map_err(ChatError::ResponseFormatWithTools)?)
    };
    Ok(Some((grammar, parameter)))
}
