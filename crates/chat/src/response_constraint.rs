//! The constraint on a completion: forced tool calls, structured output, thinking budget.

use mlxm_engine::sampling::Constraint;

use crate::constraint::{Grammar, ignored_keywords};
use crate::error::ChatError;
use crate::lark;
use crate::model::{ChatModel, Prompt};
use crate::parsing::{ForcedCall, Tool};
use crate::request::{ChatRequest, ResponseFormat, ToolChoice};
use crate::thinking_budget::ThinkingBudget;

const RESPONSE_FORMAT: &str = "response_format";

/// The content in a grammar with reasoning or tool calls, see [`Grammar::Around`].
const CONTENT: &str = "@content";

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

/// What the response format asks for and the constraint does not enforce.
pub(crate) fn warnings(request: &ChatRequest) -> Vec<String> {
    if forced_call(request).is_some() {
        return Vec::new();
    }
    let ignored = content_grammar(&request.response_format);
    let ignored = ignored.map_or_else(Vec::new, |grammar| ignored_keywords(&grammar));
    let warning = |ignored: String| format!("{RESPONSE_FORMAT}: {ignored}");
    ignored.into_iter().map(warning).collect()
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
    if let Some(choice) = forced_call(request) {
        // Calls have no content, so the response format does not apply.
        let grammar = format.tool_grammar(tools, choice, parallel, text, &special);
        let grammar = grammar.map_err(|error| ChatError::Grammar {
            parameter: "tool_choice",
            error,
        })?;
        return Ok(Some((Grammar::Lark(grammar), "tools")));
    }
    let Some(content) = content_grammar(&request.response_format) else {
        return Ok(None);
    };
    let around = if tools.is_empty() {
        format.response_grammar(CONTENT, text, &special)
    } else {
        let either = format.tools_or_response_grammar(tools, parallel, CONTENT, text, &special);
        Some(either.map_err(ChatError::ResponseFormatWithTools)?)
    };
    let grammar = match around {
        Some(lark) => Grammar::Around {
            lark,
            content: Box::new(content),
        },
        None => content,
    };
    Ok(Some((grammar, RESPONSE_FORMAT)))
}

fn forced_call(request: &ChatRequest) -> Option<ForcedCall<'_>> {
    match &request.tool_choice {
        ToolChoice::Required => Some(ForcedCall::Required),
        ToolChoice::Named(name) => Some(ForcedCall::Named(name)),
        ToolChoice::Auto | ToolChoice::None => None,
    }
}

/// The grammar of the content; `None` for any text.
fn content_grammar(format: &ResponseFormat) -> Option<Grammar> {
    Some(match format {
        ResponseFormat::Text => return None,
        ResponseFormat::JsonObject => Grammar::JsonObject,
        ResponseFormat::JsonSchema(schema) => Grammar::JsonSchema(schema.clone()),
        ResponseFormat::LenientJsonSchema(schema) => Grammar::LenientJsonSchema(schema.clone()),
        ResponseFormat::Regex(regex) => Grammar::Regex(regex.clone()),
        ResponseFormat::Grammar(grammar) => Grammar::Lark(grammar.clone()),
    })
}
