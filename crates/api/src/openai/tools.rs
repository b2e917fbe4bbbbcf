//! `tools` and `tool_choice`: which tools a model may call, and which it must.

use std::collections::HashSet;

use serde_json::Value;

use super::custom_tools;
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::generate::ToolChoice;

/// Longest name of a tool, in characters.
const MAX_NAME_LENGTH: usize = 128;

/// Paths of fields inside a tool, for error messages.
pub struct ToolFields {
    list: &'static str,
    name: &'static str,
    parameters: &'static str,
}

/// The fields of chat completions.
pub const CHAT_FIELDS: ToolFields = ToolFields {
    list: "tools",
    name: ".function.name",
    parameters: ".function.parameters",
};

/// The fields of the deprecated `functions` of chat completions.
pub const FUNCTIONS_FIELDS: ToolFields = ToolFields {
    list: "functions",
    name: ".name",
    parameters: ".parameters",
};

/// The fields of the Responses API.
pub const RESPONSES_FIELDS: ToolFields = ToolFields {
    list: "tools",
    name: ".name",
    parameters: ".parameters",
};

/// The fields of the Messages API.
pub const ANTHROPIC_FIELDS: ToolFields = ToolFields {
    list: "tools",
    name: ".name",
    parameters: ".input_schema",
};

/// The tools of a chat completion.
#[derive(Debug, Default)]
pub struct Tools {
    /// In the format of functions.
    pub functions: Vec<Value>,
    /// Names of those that are custom tools.
    pub custom: HashSet<String>,
    /// Types of the hosted tools that were ignored.
    pub hosted: Vec<String>,
}

/// A tool that the provider of the official API runs.
pub struct HostedTool {
    /// Its path in the request.
    pub path: String,
    /// Its type.
    pub kind: String,
    /// Whether `tool_choice` names it.
    pub is_chosen: bool,
}

impl HostedTool {
    /// The tool `tools[index]`, which OpenAI's `tool_choice` names by its type.
    pub fn chosen_by_type(index: usize, kind: &str, choice: Option<&Value>) -> Self {
        Self {
            path: format!("tools[{index}]"),
            kind: kind.to_owned(),
            is_chosen: choice.is_some_and(|choice| choice["type"] == *kind),
        }
    }
}

/// Reads the tools of a chat completion. Custom tools become functions; hosted tools are left out with a warning.
///
/// # Errors
/// If a tool is invalid, or a hosted tool that the request depends on.
pub fn parse(
    tools: &[Value],
    choice: Option<&Value>,
    warnings: &mut Warnings,
) -> Result<Tools, ApiError> {
    let mut parsed = Tools::default();
    let mut hosted = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        match tool["type"].as_str() {
            Some("function") => parsed.functions.push(tool.clone()),
            Some("custom") => {
                let custom = &tool["custom"];
                let path = format!("tools[{index}].custom");
                let Some(name) = custom["name"].as_str().filter(|name| is_name(name)) else {
                    return Err(ApiError::at(&format!("{path}.name"), &name_problem()));
                };
                custom_tools::warn_of_grammar(&path, custom, choice, warnings);
                parsed.functions.push(custom_tools::function(custom));
                parsed.custom.insert(name.to_owned());
            }
            Some(kind) => hosted.push(HostedTool::chosen_by_type(index, kind, choice)),
            None => {
                let path = format!("tools[{index}].type");
                return Err(ApiError::at(&path, "must be function or custom"));
            }
        }
    }
    parsed.hosted = ignore_hosted(hosted, parsed.functions.is_empty(), warnings)?;
    validate_at(&parsed.functions, &CHAT_FIELDS)?;
    Ok(parsed)
}

/// Ignores hosted tools with a warning; returns their types.
///
/// # Errors
/// If there are no other tools (`is_alone`), or `tool_choice` names a hosted tool.
pub fn ignore_hosted(
    hosted: Vec<HostedTool>,
    is_alone: bool,
    warnings: &mut Warnings,
) -> Result<Vec<String>, ApiError> {
    let mut kinds = Vec::new();
    for tool in hosted {
        let HostedTool {
            path,
            kind,
            is_chosen,
        } = tool;
        if is_alone || is_chosen {
            let message = format!(
                "{path} has the type {kind}; only tools that the client runs are supported"
            );
            return Err(ApiError::unsupported(path, message));
        }
        let reason = format!("{kind} is not available; only tools that the client runs are");
        warnings.ignored(&path, &reason);
        kinds.push(kind);
    }
    Ok(kinds)
}

/// Reads `tool_choice` of chat completions and responses. Returns the choice and the functions that may be called. `hosted` are
/// the types of the tools that were ignored.
///
/// # Errors
/// If the value is invalid or not supported.
pub fn choose(
    choice: Option<&Value>,
    functions: Vec<Value>,
    hosted: &[String],
) -> Result<(ToolChoice, Vec<Value>), ApiError> {
    match choice {
        Some(choice) if choice["type"] == "allowed_tools" => {
            // Chat completions have the list one level lower than responses.
            let (allowed, path) = if choice["allowed_tools"].is_object() {
                (&choice["allowed_tools"], "tool_choice.allowed_tools.tools")
            } else {
                (choice, "tool_choice.tools")
            };
            let mode = ToolChoice::from_json(Some(&allowed["mode"]))?;
            let names = allowed_names(path, &allowed["tools"], &functions, hosted)?;
            let allows = |tool: &Value| names.iter().any(|name| tool["function"]["name"] == *name);
            Ok((mode, functions.into_iter().filter(allows).collect()))
        }
        Some(choice) if choice.is_object() => {
            let choice = match (choice["type"].as_str(), name_of(choice)) {
                (Some("custom"), Some(name)) => ToolChoice::Named(name.to_owned()),
                (Some(kind @ ("local_shell" | "shell" | "apply_patch")), _) => {
                    ToolChoice::Named(kind.to_owned())
                }
                (Some(kind), _) if kind != "function" => {
                    let message = format!(
                        "tool_choice has the type {kind}; only function, custom and allowed_tools are supported"
                    );
                    return Err(ApiError::unsupported("tool_choice", message));
                }
                _ => ToolChoice::from_json(Some(choice))?,
            };
            Ok((choice, functions))
        }
        choice => match (ToolChoice::from_json(choice)?, functions.is_empty()) {
            (ToolChoice::Auto, true) => Ok((ToolChoice::None, functions)),
            (choice, _) => Ok((choice, functions)),
        },
    }
}

/// The name in a tool or in a reference to one.
fn name_of(tool: &Value) -> Option<&str> {
    let places = [
        &tool["function"]["name"],
        &tool["custom"]["name"],
        &tool["name"],
    ];
    places.into_iter().find_map(Value::as_str)
}

fn allowed_names<'a>(
    path: &str,
    allowed: &'a Value,
    functions: &[Value],
    hosted: &[String],
) -> Result<Vec<&'a str>, ApiError> {
    let entries = match allowed {
        Value::Array(entries) if !entries.is_empty() => entries,
        _ => return Err(ApiError::at(path, "must be a list of tools")),
    };
    let mut names = Vec::new();
    for entry in entries {
        let kind = entry["type"].as_str().unwrap_or_default();
        // Tools without a name of their own are known by their type.
        let name = name_of(entry).unwrap_or(kind);
        if functions
            .iter()
            .any(|tool| tool["function"]["name"] == *name)
        {
            names.push(name);
        } else if !hosted.iter().any(|hosted| hosted == kind) {
            return Err(ApiError::at(
                path,
                &format!("has {entry}, which is not in tools"),
            ));
        }
    }
    if names.is_empty() {
        let problem = "has only hosted tools; at least one tool must be one that the client runs";
        return Err(ApiError::at(path, problem));
    }
    Ok(names)
}

/// Validates a list of functions, whose fields have these names in the protocol of the request.
///
/// # Errors
/// If a tool is invalid or not a function.
pub fn validate_at(tools: &[Value], fields: &ToolFields) -> Result<(), ApiError> {
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let invalid = |field: &str, problem: String| {
            let path = format!("{}[{index}]{field}", fields.list);
            ApiError::field(path.clone(), format!("{path} {problem}"))
        };
        if tool["type"] != "function" {
            let problem = format!("is {}; only function is supported", tool["type"]);
            return Err(invalid(".type", problem));
        }
        let Some(name) = tool["function"]["name"]
            .as_str()
            .filter(|name| is_name(name))
        else {
            return Err(invalid(fields.name, name_problem()));
        };
        if names.contains(&name) {
            return Err(invalid(
                fields.name,
                format!("is `{name}`, which another tool already has"),
            ));
        }
        names.push(name);
        let parameters = &tool["function"]["parameters"];
        if !parameters.is_object() && !parameters.is_null() {
            let problem = format!("of tool `{name}` must be a JSON schema");
            return Err(invalid(fields.parameters, problem));
        }
    }
    Ok(())
}

fn name_problem() -> String {
    format!("must consist of 1 to {MAX_NAME_LENGTH} letters, digits, underscores, dots or dashes")
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
