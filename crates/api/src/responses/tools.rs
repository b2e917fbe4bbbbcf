//! Converts tools and `tool_choice` to the formats of chat completions.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::generate::ToolChoice;
use crate::openai::tools;

/// Converts tools, whose functions are nested in chat completions.
///
/// # Errors
/// If a tool is invalid or a built-in tool.
pub fn parse(tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let nested = tools
        .iter()
        .enumerate()
        .map(|(index, tool)| match &tool["type"] {
            Value::String(kind) if kind == "function" => {
                let fields = ["name", "description", "parameters", "strict"];
                let present = fields.iter().filter(|field| !tool[**field].is_null());
                let function: Map<String, Value> = present
                    .map(|field| ((*field).to_owned(), tool[*field].clone()))
                    .collect();
                Ok(json!({"type": "function", "function": function}))
            }
            Value::String(kind) => {
                let path = format!("tools[{index}]");
                let message = format!("{path} has the type {kind}; only function is supported");
                Err(ApiError::unsupported(path, message))
            }
            _ => {
                let path = format!("tools[{index}].type");
                Err(ApiError::field(
                    path.clone(),
                    format!("{path} must be function"),
                ))
            }
        });
    let nested = nested.collect::<Result<Vec<_>, _>>()?;
    tools::validate_at(&nested, "")?;
    Ok(nested)
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
            if let Some(Value::String(kind)) = choice.get("type")
                && kind != "function"
            {
                let message = format!(
                    "tool_choice has the type {kind}; only function and allowed_tools are supported"
                );
                return Err(ApiError::unsupported("tool_choice", message));
            }
            let choice = ToolChoice::from_json(Some(&Value::Object(choice.clone())))?;
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
        let name = &entry["name"];
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
    use super::*;

    fn flat(name: &str) -> Value {
        json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true})
    }

    #[test]
    fn tools_are_converted_to_the_chat_completion_format() {
        let function = json!({"name": "now", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(
            parse(&[flat("now")]).unwrap(),
            [json!({"type": "function", "function": function})]
        );
        let problem = |tool: Value| parse(&[tool]).unwrap_err().to_string();
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
    fn allowed_tools_filters_the_tools() {
        let tools = parse(&[flat("a"), flat("b")]).unwrap();
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
