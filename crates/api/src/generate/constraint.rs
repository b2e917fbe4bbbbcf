//! What an answer is held to while it is generated.

use mlxm_engine::sampling::Constraint;
use mlxm_grammar::Grammar;
use mlxm_parsers::Choice;

use super::chat::{Chat, Prompt};
use super::{OutputFormat, ToolChoice};
use crate::error::ApiError;
use crate::server::Model;

/// The constraint that a conversation's answers start with, if any.
///
/// # Errors
/// When the shape that is asked for cannot be enforced.
pub fn constraint(
    model: &Model,
    chat: &Chat,
    prompt: &Prompt,
) -> Result<Option<Box<dyn Constraint>>, ApiError> {
    let forced = match &chat.tool_choice {
        ToolChoice::Required => Some(Choice::Required),
        ToolChoice::Named(name) => Some(Choice::Named(name)),
        ToolChoice::Auto | ToolChoice::None => None,
    };
    let special = |text: &str| model.special_token(text);
    let (grammar, param) = match (forced, &chat.output) {
        (None, OutputFormat::Text) => return Ok(None),
        (Some(choice), OutputFormat::Text) => {
            let (tools, parallel) = (prompt.tools(), chat.parallel_tool_calls);
            let grammar = prompt
                .format()
                .grammar(tools, choice, parallel, &prompt.text, &special);
            let grammar =
                grammar.map_err(|error| ApiError::field("tool_choice", error.to_string()))?;
            (Grammar::Lark(grammar), "tools")
        }
        (_, output) => {
            if !prompt.tools().is_empty() {
                let message = "response_format together with tools is not supported: leave one of them out, or set \
                               tool_choice to none";
                return Err(ApiError::unsupported("response_format", message));
            }
            (
                behind_reasoning(output, prompt, &special),
                "response_format",
            )
        }
    };
    let compiled = model.compiler.compile(&grammar);
    let matcher = compiled.map_err(|error| ApiError::field(param, format!("{param}: {error}")))?;
    Ok(Some(Box::new(matcher)))
}

/// The grammar of an answer, with room for the model's reasoning where it reasons in front of JSON.
fn behind_reasoning(
    output: &OutputFormat,
    prompt: &Prompt,
    special: &dyn Fn(&str) -> Option<u32>,
) -> Grammar {
    let (alone, form) = match output {
        OutputFormat::JsonSchema(schema) => (
            Grammar::JsonSchema(schema.clone()),
            format!("%json {schema}"),
        ),
        OutputFormat::Regex(regex) => return Grammar::Regex(regex.clone()),
        OutputFormat::Grammar(grammar) => return Grammar::Lark(grammar.clone()),
        OutputFormat::JsonObject | OutputFormat::Text => (
            Grammar::JsonObject,
            "%json {\"type\": \"object\"}".to_owned(),
        ),
    };
    match prompt
        .format()
        .behind_reasoning(&form, &prompt.text, special)
    {
        Some(grammar) => Grammar::Lark(grammar),
        None => alone,
    }
}
