//! Converts tools and `tool_choice` to the formats of chat completions.

use serde_json::Value;

use super::client_tools::{self, ToolKinds};
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::generate::ToolChoice;
use crate::openai::tools;

/// The functions of the tools in the format of chat completions, and how their calls are shown.
#[derive(Debug, Default)]
pub struct Tools {
    pub functions: Vec<Value>,
    pub kinds: ToolKinds,
}

/// Converts tools. Built-in tools are left out with a warning, as long as another tool is left and `tool_choice` does not name
/// them.
///
/// # Errors
/// If a tool is invalid, or a built-in tool that the request depends on.
pub fn parse(
    tools: &[Value],
    choice: Option<&Value>,
    warnings: &mut Warnings,
) -> Result<Tools, ApiError> {
    let mut parsed = Tools::default();
    let mut built_in = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        match (&tool["type"], client_tools::functions(tool)) {
            (_, Some(functions)) => {
                for (function, kind) in functions {
                    parsed.kinds.insert(&function, kind);
                    parsed.functions.push(function);
                }
            }
            (Value::String(kind), None) => built_in.push((format!("tools[{index}]"), kind)),
            _ => {
                let path = format!("tools[{index}].type");
                let message = format!("{path} must be function");
                return Err(ApiError::field(path, message));
            }
        }
    }
    let chosen = choice.map(|choice| &choice["type"]);
    for (path, kind) in built_in {
        if parsed.functions.is_empty() || chosen.is_some_and(|chosen| chosen == kind) {
            let message = format!(
                "{path} has the type {kind}; only tools that the client runs are supported"
            );
            return Err(ApiError::unsupported(path, message));
        }
        let reason = format!("{kind} is not available; only tools that the client runs are");
        warnings.ignored(&path, &reason);
    }
    let forced = |tool: &Value| match choice {
        Some(choice) if choice.is_object() => choice["name"] == tool["name"],
        Some(choice) => choice == "required",
        None => false,
    };
    for (index, tool) in tools.iter().enumerate() {
        if tool["format"]["syntax"] == "lark" && forced(tool) {
            warnings.ignored(
                &format!("tools[{index}].format"),
                "the grammar is described to the model, but not enforced",
            );
        }
    }
    tools::validate_at(&parsed.functions, &tools::RESPONSES_FIELDS)?;
    Ok(parsed)
}

/// Parses `tool_choice`. Returns the choice and the allowed tools.
///
/// # Errors
/// If the value is invalid or not supported.
pub fn parse_choice(
    choice: Option<&Value>,
    tools: Vec<Value>,
) -> Result<(ToolChoice, Vec<Value>), ApiError> {
    match choice {
        Some(allowed) if allowed["type"] == "allowed_tools" => {
            let mode = ToolChoice::from_json(Some(&allowed["mode"]))?;
            let names = allowed_names(allowed, &tools)?;
            let allows = |tool: &Value| names.iter().any(|name| tool["function"]["name"] == *name);
            let tools = tools.into_iter().filter(allows).collect();
            Ok((mode, tools))
        }
        Some(Value::Object(choice)) => {
            let kind = choice.get("type").and_then(Value::as_str);
            let choice = match (kind, choice.get("name").and_then(Value::as_str)) {
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
                _ => ToolChoice::from_json(Some(&Value::Object(choice.clone())))?,
            };
            Ok((choice, tools))
        }
        choice => match (ToolChoice::from_json(choice)?, tools.is_empty()) {
            (ToolChoice::Auto, true) => Ok((ToolChoice::None, tools)),
            (choice, _) => Ok((choice, tools)),
        },
    }
}

fn allowed_names(allowed: &Value, tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let Some(entries) = allowed["tools"]
        .as_array()
        .filter(|tools| !tools.is_empty())
    else {
        let message = "tool_choice.tools must be a list of tools";
        return Err(ApiError::field("tool_choice.tools", message));
    };
    let names = entries.iter().map(|entry| {
        // Tools without a name of their own are known by their type.
        let name = if entry["name"].is_null() {
            &entry["type"]
        } else {
            &entry["name"]
        };
        let known = tools.iter().any(|tool| tool["function"]["name"] == *name);
        if known {
            return Ok(name.clone());
        }
        let message = format!("tool_choice.tools has {entry}, which is not in tools");
        Err(ApiError::field("tool_choice.tools", message))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(name: &str) -> Value {
        json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true})
    }

    #[test]
    fn tools_are_converted_to_the_chat_completion_format() {
        let function = json!({"name": "now", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(
            parse(&[flat("now")], None, &mut Warnings::default())
                .unwrap()
                .functions,
            [json!({"type": "function", "function": function})]
        );
        let problem = |tool: Value| {
            let result = parse(&[tool], None, &mut Warnings::default());
            result.unwrap_err().to_string()
        };
        assert!(problem(json!({"type": "web_search"})).contains("has the type web_search"));
        assert_eq!(problem(json!({})), "tools[0].type must be function");
        for unnamed in [
            json!({"type": "function"}),
            json!({"type": "function", "name": "a b"}),
        ] {
            assert!(problem(unnamed).starts_with("tools[0].name must consist of"));
        }
    }

    #[test]
    fn grammar_of_a_forced_custom_tool_is_named_as_not_enforced() {
        let tool = json!({"type": "custom", "name": "edit",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}});
        let warnings = |choice: Value| {
            let mut warnings = Warnings::default();
            parse(std::slice::from_ref(&tool), Some(&choice), &mut warnings).unwrap();
            warnings.to_string()
        };
        assert!(warnings(json!("required")).starts_with("tools[0].format"));
        assert!(warnings(json!({"type": "custom", "name": "edit"})).contains("not enforced"));
        assert_eq!(warnings(json!("auto")), "");
    }

    #[test]
    fn allowed_tools_filters_the_tools() {
        let mut warnings = Warnings::default();
        let search = json!({"type": "web_search"});
        let tools = parse(&[flat("a"), search, flat("b")], None, &mut warnings)
            .unwrap()
            .functions;
        assert_eq!(
            warnings.to_string(),
            "tools[1] was ignored: web_search is not available; only tools that the client runs are"
        );
        let parse_choice = |choice: Value| parse_choice(Some(&choice), tools.clone());
        assert_eq!(
            parse_choice(json!({"type": "function", "name": "b"}))
                .unwrap()
                .0,
            ToolChoice::Named("b".to_owned())
        );
        let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]});
        assert_eq!(
            parse_choice(allowed).unwrap(),
            (ToolChoice::Required, tools[1..].to_vec())
        );
        for invalid in [
            json!({"type": "allowed_tools", "mode": "auto", "tools": []}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "c"}]}),
            json!({"type": "file_search"}),
            json!("perhaps"),
        ] {
            assert!(parse_choice(invalid.clone()).is_err(), "{invalid}");
        }
        assert_eq!(
            super::parse_choice(None, Vec::new()).unwrap(),
            (ToolChoice::None, Vec::new())
        );
    }
}
